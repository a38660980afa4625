"""Runs canaille with its memory backend. Arguments: a port of 127.0.0.1, the id and the secret of a client, how many people to make."""

import datetime
import logging
import sys
from types import SimpleNamespace

from joserfc.jwk import RSAKey

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.scim import endpoints

port, client_id, client_secret, people = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
# 0.3.6 compares the text of ?count= with a number and answers 500 (SCIM clients cannot page then); everything else is left as it is.
parse = endpoints.parse_search_request
endpoints.parse_search_request = lambda request: parse(
    SimpleNamespace(args={name: int(value) if name == "count" else value for name, value in request.args.items()})
)

logging.basicConfig(level=logging.WARNING)
app = create_app(
    {
        "SECRET_KEY": "of a test",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory", "ENABLE_REGISTRATION": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)]},
        "CANAILLE_SCIM": {"ENABLE_SERVER": True},
    }
)
with app.app_context():
    save = Backend.instance.save
    now = datetime.datetime.now(datetime.timezone.utc)
    made = []
    for number in range(1, people + 1):
        name = f"user{number:04}"
        user = models.User(user_name=name, family_name=f"Number {number}", formatted_name=f"User {number}", emails=[f"{name}@example.com"])
        save(user)
        made.append(user)
    if made:
        save(models.Group(display_name="everybody", members=made))
        save(models.Group(display_name="few", members=made[:3]))
    client = models.Client(
        client_id=client_id,
        client_secret=client_secret,
        client_name="rosterd",
        client_id_issued_at=now,
        client_uri=f"http://127.0.0.1:{port}/",
        redirect_uris=["http://127.0.0.1/callback"],
        grant_types=["client_credentials", "authorization_code"],
        response_types=["code"],
        token_endpoint_auth_method="client_secret_basic",
        scope=["openid", "profile", "email", "groups"],
    )
    client.audience = [client]
    save(client)
app.run("127.0.0.1", port, threaded=True, debug=False, use_reloader=False)
