"""Runs canaille with its memory backend. Arguments: a port of 127.0.0.1, the id and the secret of a client, how many people to make; and, for
its SCIM client, the URL of a SCIM server with the path's last part ("…/scim/v2/") and a file with the bearer token for it."""

import datetime
import logging
import sys
from types import SimpleNamespace

from joserfc.jwk import RSAKey
from scim2_models import ServiceProviderConfig

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.scim import endpoints

port, client_id, client_secret, people = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
push_url, push_token = (sys.argv[5], sys.argv[6]) if len(sys.argv) > 5 else ("", "")
# 0.3.6 compares the text of ?count= with a number and answers 500 (SCIM clients cannot page then); everything else is left as it is.
parse = endpoints.parse_search_request
endpoints.parse_search_request = lambda request: parse(
    SimpleNamespace(args={name: int(value) if name == "count" else value for name, value in request.args.items()})
)
# Its scim2-models refuses what it does not know, such as the paging that RFC 9865 announces in ServiceProviderConfig.
ServiceProviderConfig.model_config["extra"] = "ignore"
ServiceProviderConfig.model_rebuild(force=True)

logging.basicConfig(level=logging.WARNING)
app = create_app(
    {
        "SECRET_KEY": "of a test",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory", "ENABLE_REGISTRATION": False},
        "CANAILLE_OIDC": {
            "ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)],
            "TRUSTED_DOMAINS": ["127.0.0.1"] if push_url else [],  # everybody's changes are told to clients that live there
        },
        "CANAILLE_SCIM": {"ENABLE_SERVER": True, "ENABLE_CLIENT": bool(push_url)},
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
        client_uri="http://rosterd.example/",
        redirect_uris=["http://127.0.0.1/callback"],
        grant_types=["client_credentials", "authorization_code"],
        response_types=["code"],
        token_endpoint_auth_method="client_secret_basic",
        scope=["openid", "profile", "email", "groups"],
    )
    client.audience = [client]
    save(client)
    if push_url:  # it makes its own tokens for whom it pushes to, unless there is one: the server's, here
        with open(push_token, encoding="utf-8") as file:
            token = file.read().strip()
        pushed_to = models.Client(
            client_id="pushed-to",
            client_secret="of a test",
            client_name="a SCIM server",
            client_id_issued_at=now,
            client_uri=push_url,
            redirect_uris=["http://127.0.0.1/callback"],
        )
        pushed_to.audience = [pushed_to]
        save(pushed_to)
        save(
            models.Token(
                token_id="pushed-to",
                access_token=token,
                subject=None,
                audience=[pushed_to],
                client=pushed_to,
                scope=["openid", "profile"],
                issue_date=now,
                lifetime=24 * 3600,
            )
        )
app.run("127.0.0.1", port, threaded=True, debug=False, use_reloader=False)
