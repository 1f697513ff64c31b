"""Verifies the signature of a webhook, before anything else happens (SI1).

Source: https://docs.stripe.com/webhooks#verify-manually. The header is ``t=<seconds>,v1=<hex>[,v1=<hex>…]``; a
signature is HMAC-SHA-256 of ``<seconds>.<raw body>`` under the endpoint's secret. Unlike Stripe's SDK, timestamps in
the future are rejected too, so that a captured signature cannot be kept for later.
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256

from tenants import errors

TOLERANCE = 300  # seconds, both ways
MOST_BYTES = 256 * 1024  # of a body
_LONGEST_HEADER = 4096
_MOST_SIGNATURES = 16
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SCHEME = "v1"  # v0 is a test scheme and never accepted


class SignatureInvalid(errors.SignatureInvalid):
    """Missing, malformed, forged or outside the tolerance. Only the log says which."""

    message = "The event's signature is missing, invalid, or outside the time tolerance."


def verify(raw: bytes, header: str | None, secrets: Sequence[str], now: float) -> None:
    """Return when a signature in the header is valid for one of the secrets. Raises SignatureInvalid.

    ``now`` is in seconds since the epoch. Sizes are checked before any computation.
    """
    if len(raw) > MOST_BYTES:
        raise SignatureInvalid(detail="the body is too large")
    timestamp, signatures = _parts(header)
    if abs(now - int(timestamp)) > TOLERANCE:
        raise SignatureInvalid(detail="the timestamp is out of tolerance")
    signed = timestamp.encode() + b"." + raw
    valid = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, sha256).hexdigest().encode()
        for given in signatures:
            valid |= hmac.compare_digest(expected, given.encode())
    if not valid:
        raise SignatureInvalid(detail="no signature is valid")


def _parts(header: str | None) -> tuple[str, list[str]]:
    """The signed timestamp and the v1 signatures."""
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
