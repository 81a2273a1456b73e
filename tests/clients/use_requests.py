import requests
from common import BASE, HEADERS, PLACEHOLDER, check

with requests.Session() as session:
    for _ in range(2):
        answer = session.get(
            f"{BASE}/v1/whoami",
            headers={"Authorization": f"Bearer {PLACEHOLDER}", **HEADERS},
            timeout=30,
        )
        answer.raise_for_status()
        assert answer.json()["ok"] is True
        check(answer.text)
