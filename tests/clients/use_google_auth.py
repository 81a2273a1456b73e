"""google-auth with placeholders: it refreshes by itself where it has a refresh token, and takes an access token as it is."""

import os

from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials

ITEM = os.environ["DESTINATION"] + "/v1/items/1"

if "TOKEN_URI" in os.environ:
    credentials = Credentials(
        token=None,
        refresh_token=os.environ["PLACEHOLDER"],
        token_uri=os.environ["TOKEN_URI"],
        client_id="app",
        client_secret=os.environ["CLIENT_SECRET"],
        scopes=["https://www.googleapis.com/auth/gmail.readonly"],
    )
else:
    credentials = Credentials(token=os.environ["PLACEHOLDER"])
session = AuthorizedSession(credentials)
answer = session.get(ITEM)
answer.raise_for_status()
# The service echoes the access token: what comes back is the placeholder that the library holds.
assert answer.text == f"you sent Bearer {credentials.token}", answer.text
print(answer.text)
if credentials.refresh_token:
    first = credentials.token
    credentials.expiry = None
    credentials.token = None
    answer = session.get(ITEM)
    answer.raise_for_status()
    assert answer.text == f"you sent Bearer {credentials.token}", answer.text
    # A refresh token that was replaced keeps its placeholder.
    assert credentials.refresh_token == os.environ["PLACEHOLDER"]
    assert credentials.token != first
    assert not credentials.id_token
    print("refreshed")
