import anthropic
from common import BASE, HEADERS, PLACEHOLDER, check

client = anthropic.Anthropic(
    api_key=PLACEHOLDER, base_url=BASE, default_headers=HEADERS, max_retries=0, timeout=30
)
answer = client.messages.create(
    model="small", max_tokens=16, messages=[{"role": "user", "content": "hello"}]
)
check(answer.content[0].text)
