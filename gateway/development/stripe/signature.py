"""The ``Stripe-Signature`` header. Source: https://docs.stripe.com/webhooks#verify-manually."""

import hashlib
import hmac


def sign(payload: bytes, secret: str, timestamp: int) -> str:
    """``t=<seconds>,v1=<hex>``: HMAC-SHA-256 of ``<seconds>.<payload>`` under the endpoint's whole secret."""
    signed = f"{timestamp}.".encode() + payload
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"
