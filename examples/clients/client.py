"""Log in once, use the token for every request, log out: needs only `requests`."""

import os
import sys

import requests

base = os.environ["BASE_URL"]
login = {name: os.environ[name.upper()] for name in ("username", "password", "organization_id")}
http = requests.Session()
# A private certificate authority's file, where the server's certificate comes from one.
http.verify = os.environ.get("CA_FILE") or True

answer = http.post(f"{base}/api/auth/login/", json=login, headers={"cache-control": "no-cache"}, timeout=30)
if answer.status_code != 200:
    sys.exit(f"login: {answer.status_code} {answer.text}")
print("expiry:", answer.json()["expiry"])

# Keep the token and reuse it until it expires: a login for every request soon reaches the
# organization's limit of live tokens, and the next login is refused.
use = {"Authorization": f"Token {answer.json()['token']}"}
for method, path, expected in [
    ("GET", "/api/v1/organizations/", 200),
    ("POST", "/api/auth/logout/", 204),  # Done with it: this makes room for another token at once.
    ("GET", "/api/v1/organizations/", 401),  # A token that was logged out never works again.
]:
    answer = http.request(method, base + path, headers=use, timeout=30)
    if answer.status_code != expected:
        sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
    if expected == 200:
        print("organizations:", [(item["uuid"], item["name"]) for item in answer.json()["results"]])
print("ok")
