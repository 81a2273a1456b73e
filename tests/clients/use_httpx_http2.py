"""httpx with HTTP/2: by ALPN inside interception, by prior knowledge at the base URL."""

import asyncio
import os

import httpx
from common import BASE, HEADERS, MODE, PLACEHOLDER, check

FIELDS = HEADERS | {"Authorization": f"Bearer {PLACEHOLDER}"}
# Over plain HTTP nothing can be agreed: whoever wants HTTP/2 there leaves HTTP/1.1 out.
HTTP1 = MODE == "proxy"


async def main():
    verify = os.environ["SSL_CERT_FILE"]
    async with httpx.AsyncClient(http1=HTTP1, http2=True, verify=verify, headers=FIELDS, timeout=60) as calls:
        answer = await calls.get(f"{BASE}/v1/whoami")
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2"), answer
        check(answer.text)
        answers = await asyncio.gather(*[calls.get(f"{BASE}/v1/whoami") for _ in range(60)])
        assert all(PLACEHOLDER in answer.text and answer.http_version == "HTTP/2" for answer in answers)
        answer = await calls.post(f"{BASE}/v1/echo", content=b"x" * 3_000_000)
        assert answer.status_code == 200 and answer.content == b"x" * 3_000_000, answer
        refused = await calls.get(f"{BASE}/v1/other")
        assert (refused.status_code, refused.json()["code"]) == (403, "call-not-permitted"), refused.text


asyncio.run(main())
