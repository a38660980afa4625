"""Runs scim2-tester against a server and prints its findings as a JSON list. Arguments: URL, a file with the bearer token, a CA file or ""."""

import json
import ssl
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server

url, token_file, ca_file = sys.argv[1:4]
with open(token_file, encoding="utf-8") as file:
    token = file.read().strip()
verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, verify=verify, timeout=30, trust_env=False)
findings = [
    {
        "status": one.status.name,
        "title": one.title or "",
        "reason": one.reason or "",
        "tags": ",".join(sorted(one.tags)),
        "resource_type": one.resource_type or "",
    }
    for one in check_server(SyncSCIMClient(http))
]
json.dump(findings, sys.stdout)
