"""Two libraries with their own retries, switched on: the first attempt fails, and one use is enough."""

import os
import sys

import openai
import stripe
from common import BASE, HEADERS, PLACEHOLDER, check

if os.environ["LIBRARY"] == "stripe":
    # Sends an Idempotency-Key by itself, the same with each attempt.
    import requests

    stripe.ca_bundle_path = os.environ["REQUESTS_CA_BUNDLE"]
    session = requests.Session()
    session.headers.update(HEADERS)
    client = stripe.StripeClient(
        PLACEHOLDER,
        base_addresses={"api": BASE},
        max_network_retries=2,
        http_client=stripe.RequestsClient(proxy=os.environ["HTTPS_PROXY"], session=session),
    )
    create = lambda name: client.v1.customers.create({"email": "ann@example.com", "description": name}).description
    refused = stripe.StripeError
else:
    # Numbers its attempts in a header.
    client = openai.OpenAI(api_key=PLACEHOLDER, base_url=f"{BASE}/v1", max_retries=2, timeout=30)

    def create(name):
        messages = [{"role": "user", "content": name}]
        return client.chat.completions.create(model="small", messages=messages).choices[0].message.content

    refused = openai.OpenAIError

check(create("the first"))
try:
    create("another")
except refused as error:
    print("refused:", error)
else:
    sys.exit("another request went out under the same use")
