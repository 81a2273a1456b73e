import os

import requests
import stripe
from common import BASE, HEADERS, MODE, PLACEHOLDER, check

# Stripe's library carries its own certificate file; a private authority is named as its documentation says.
stripe.ca_bundle_path = os.environ["REQUESTS_CA_BUNDLE"]
session = requests.Session()
session.headers.update(HEADERS)
client = stripe.StripeClient(
    PLACEHOLDER,
    base_addresses={"api": BASE},
    max_network_retries=0,
    http_client=stripe.RequestsClient(
        proxy=os.environ["HTTPS_PROXY"] if MODE == "proxy" else None, session=session
    ),
)
customer = client.v1.customers.create({"email": "ann@example.com", "description": "a customer"})
assert customer.id == "cus_1"
check(customer.description)
