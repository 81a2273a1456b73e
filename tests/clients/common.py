"""What the Python clients share: where to call and what to check. The clients themselves are used as anyone would."""

import os
import sys

MODE = sys.argv[1]
PLACEHOLDER = os.environ["PLACEHOLDER"]
BASE = os.environ["DESTINATION"] if MODE == "proxy" else os.environ["BASE"]
# In base-URL mode no proxy setting says who calls, so a header does.
HEADERS = {} if MODE == "proxy" else {"Cloakroom-Workload": os.environ["WORKLOAD"]}


def check(text):
    """The upstream answered with the secret; here the placeholder must stand in its place."""
    assert PLACEHOLDER in text, text
    print(text)
