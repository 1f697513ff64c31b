"""SI1: raw body, v1 signatures, 300 s both ways, several secrets, bound before verifying."""

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from billing.stripe_events.signature import MOST_BYTES, SignatureInvalid, verify

SECRET = "whsec_one"
NOW = 1_800_000_000
BODY = b'{"id": "evt_1"}'


def _header(body: bytes = BODY, secret: str = SECRET, at: int = NOW) -> str:
    return f"t={at},v1={_mac(body, secret, at)}"


def _mac(body: bytes = BODY, secret: str = SECRET, at: int = NOW) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()


@pytest.mark.parametrize("offset", [-300, -1, 0, 1, 300])
def test_a_signature_is_valid_for_300_seconds_both_ways(offset: int) -> None:
    """SI1."""
    verify(BODY, _header(at=NOW + offset), [SECRET], NOW)


@pytest.mark.parametrize("offset", [-301, 301, -86400, 86400])
def test_a_signature_outside_the_tolerance_is_rejected(offset: int) -> None:
    """SI1: also in the future, which Stripe's SDK accepts."""
    with pytest.raises(SignatureInvalid):
        verify(BODY, _header(at=NOW + offset), [SECRET], NOW)


def test_a_signature_of_stripes_sdk_is_valid() -> None:
    """SI1."""
    header = WebhookSignature.generate_signature_header(BODY.decode(), SECRET, NOW)
    verify(BODY, header, [SECRET], NOW)


def test_any_of_several_secrets_and_signatures_is_enough() -> None:
    """SI1: during a rotation Stripe signs with both secrets."""
    header = f"t={NOW},v1={'0' * 64},v0={_mac()},v1={_mac(secret='whsec_two')}"
    verify(BODY, header, [SECRET, "whsec_two"], NOW)
    with pytest.raises(SignatureInvalid):
        verify(BODY, header, [SECRET], NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        f"v1={_mac()}",
        f"t={NOW}",
        f"t={NOW},v0={_mac()}",
        f"t={NOW},v1={_mac(secret='whsec_two')}",
        f"t={NOW},v1={_mac(body=BODY + b' ')}",
        f"t={NOW + 1},v1={_mac()}",
        f"t={NOW},t={NOW},v1={_mac()}",
        f"t=-{NOW},v1={_mac()}",
        f"t={NOW}.0,v1={_mac()}",
        f"t=\u0661,v1={_mac()}",
        f"t={NOW},v1={_mac().upper()}",
        f"t={NOW},v1={_mac()[:-1]}",
        f"t={NOW},v1=\u00e9",
        "t=" + "9" * 400 + ",v1=" + _mac(),
        f"t={NOW}," + ",".join(f"v1={_mac()}" for _ in range(17)),
        f"t={NOW},v1={_mac()}," + "x" * 5000,
    ],
)
def test_other_headers_are_rejected(header: str | None) -> None:
    """SI1."""
    with pytest.raises(SignatureInvalid):
        verify(BODY, header, [SECRET], NOW)


def test_without_a_secret_no_signature_is_valid() -> None:
    """SI1."""
    with pytest.raises(SignatureInvalid):
        verify(BODY, _header(), [], NOW)


def test_an_oversized_body_is_rejected_despite_a_valid_signature() -> None:
    """SI1: bound before verifying."""
    body = b" " * (MOST_BYTES + 1)
    with pytest.raises(SignatureInvalid):
        verify(body, _header(body), [SECRET], NOW)


@given(st.text(max_size=200))
def test_no_header_causes_another_error(header: str) -> None:
    """SI1."""
    with pytest.raises(SignatureInvalid):
        verify(BODY, header, [SECRET], NOW)
