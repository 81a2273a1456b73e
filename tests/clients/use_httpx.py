import httpx
from common import BASE, HEADERS, PLACEHOLDER, check

with httpx.Client(timeout=30) as client:
    for _ in range(2):
        answer = client.get(
            f"{BASE}/v1/whoami", headers={"Authorization": f"Bearer {PLACEHOLDER}", **HEADERS}
        )
        answer.raise_for_status()
        assert answer.json()["ok"] is True
        check(answer.text)
