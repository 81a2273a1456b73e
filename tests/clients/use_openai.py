import openai
from common import BASE, HEADERS, PLACEHOLDER, check

client = openai.OpenAI(
    api_key=PLACEHOLDER, base_url=f"{BASE}/v1", default_headers=HEADERS, max_retries=0, timeout=30
)
messages = [{"role": "user", "content": "hello"}]
answer = client.chat.completions.create(model="small", messages=messages)
check(answer.choices[0].message.content)

stream = client.chat.completions.create(model="small", messages=messages, stream=True)
check("".join(event.choices[0].delta.content or "" for event in stream))
