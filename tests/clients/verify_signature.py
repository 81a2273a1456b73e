"""Verifies what a destination got, with what its vendor gives to those who verify. Reads one request as JSON: headers, body, key."""

import base64
import json
import sys

import stripe

call = json.load(sys.stdin)
body = base64.b64decode(call["body"]).decode()
stripe.WebhookSignature.verify_header(body, call["headers"]["stripe-signature"], call["key"], tolerance=300)
try:
    stripe.WebhookSignature.verify_header(body + " ", call["headers"]["stripe-signature"], call["key"], tolerance=300)
except stripe.SignatureVerificationError:
    print("verified")
