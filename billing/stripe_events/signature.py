"""The signature of a webhook, checked before anything else is believed or done (SI1).

Source: https://docs.stripe.com/webhooks#verify-manually. The header is ``t=<seconds>,v1=<hex>[,v1=<hex>…]``; a
signature is HMAC-SHA-256 of ``<seconds>.<raw body>`` under the endpoint's secret. Unlike the SDK's own check, a
timestamp that lies in the future is refused as well: nobody who has a signature may keep it for later.
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256

from tenants.errors import ErrorKind, TenantryError

TOLERANCE = 300  # seconds, both ways
MOST_BYTES = 256 * 1024  # of a body
_LONGEST_HEADER = 4096
_MOST_SIGNATURES = 16
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SCHEME = "v1"  # v0 is a test scheme, which must never be believed


class SignatureInvalid(TenantryError):
    """Missing, malformed, forged, or not of our time. Which of them is for the log alone."""

    kind = ErrorKind.MALFORMED
    code = "signature_invalid"
    title = "Signature invalid"
    message = "The signature of the event is missing, wrong, or too old."


def verify(raw: bytes, header: str | None, secrets: Sequence[str], now: float) -> None:
    """Return when one of the header's signatures is right under one of the secrets. Raises SignatureInvalid.

    ``now`` is in seconds since the epoch. Everything is bounded before anything is computed.
    """
    if len(raw) > MOST_BYTES:
        raise SignatureInvalid(detail="the body is too large")
    timestamp, signatures = _parts(header)
    if abs(now - int(timestamp)) > TOLERANCE:
        raise SignatureInvalid(detail="the timestamp is out of tolerance")
    signed = timestamp.encode() + b"." + raw
    right = False
    for secret in secrets:
        wanted = hmac.new(secret.encode(), signed, sha256).hexdigest().encode()
        for given in signatures:
            right |= hmac.compare_digest(wanted, given.encode())
    if not right:
        raise SignatureInvalid(detail="no signature is right")


def _parts(header: str | None) -> tuple[str, list[str]]:
    """The timestamp as it was signed, and the signatures of our scheme."""
    if not header or len(header) > _LONGEST_HEADER:
        raise SignatureInvalid(detail="the header is missing or too long")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == _SCHEME]
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
        raise SignatureInvalid(detail="the header has no timestamp, or several")
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        raise SignatureInvalid(detail="the header has no v1 signature, or too many")
    return timestamps[0], signatures
