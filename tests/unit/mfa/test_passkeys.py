"""What a browser sends for a passkey is read strictly: whatever is wrong with it is one kind of refusal."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import bytes_to_base64url, encode_cbor

from tenants.identifiers import UserId, new_id
from tenants.mfa import passkeys
from tenants.mfa.passkeys import Known, PasskeyRefused, RelyingParty
from tests.fixtures.authenticator import DOMAIN, ORIGIN, Authenticator

_PARTY = RelyingParty(DOMAIN, "Acme", (ORIGIN, "https://app.gateway.test"))
_USER = UserId(new_id())


def _made(device: Authenticator) -> Known:
    challenge = passkeys.new_challenge()
    options = passkeys.creation_options(
        _PARTY, _USER, email="ada@example.com", name="", challenge=challenge, existing=()
    )
    return passkeys.verify_registration(_PARTY, device.create(options), challenge).known


_DEVICE, _CHALLENGE = Authenticator(), passkeys.new_challenge()
_KNOWN = _made(_DEVICE)


def test_a_passkey_is_made_and_used() -> None:
    """ID13: by any of the site's origins; the options name the site and exclude what is registered."""
    device = Authenticator()
    known = _made(device)
    assert known.transports == ("internal",)
    challenge = passkeys.new_challenge()
    options = passkeys.request_options(_PARTY, challenge=challenge, allowed=[known])
    assert (options["rpId"], options["allowCredentials"][0]["transports"]) == (DOMAIN, ["internal"])
    device.origin = "https://app.gateway.test"
    used = passkeys.verify_assertion(_PARTY, device.get(options), challenge, known, verified_person=True)
    assert (used.sign_count, used.user_verified) == (1, True)
    again = passkeys.creation_options(_PARTY, _USER, email="a@b", name="A", challenge=challenge, existing=[known])
    assert [each["id"] for each in again["excludeCredentials"]] == [bytes_to_base64url(device.credential_id)]


@pytest.mark.parametrize(
    ("changed", "client_data"),
    [
        ({"domain": "other.test"}, {}),
        ({"origin": "https://gateway.test"}, {}),
        ({"origin": "http://gateway.test.evil.example"}, {}),
        ({}, {"origin": [ORIGIN]}),
        ({}, {"type": "webauthn.create"}),
        ({}, {"challenge": bytes_to_base64url(b"another challenge")}),
        ({"verifies": False}, {}),
        ({"counts": -1}, {}),
    ],
)
def test_a_use_that_does_not_hold_is_refused(changed: dict[str, Any], client_data: dict[str, Any]) -> None:
    """ID13: another site, origin, kind, challenge; no verification of the person; a counter that has not grown."""
    device = Authenticator(counts=5)
    known, challenge = _made(device), passkeys.new_challenge()
    for name, value in changed.items():
        setattr(device, name, value)
    answer = device.get(passkeys.request_options(_PARTY, challenge=challenge, allowed=[]), **client_data)
    with pytest.raises(PasskeyRefused):
        passkeys.verify_assertion(_PARTY, answer, challenge, known, verified_person=True)


def test_a_signature_by_another_key_is_refused() -> None:
    """ID13: also when it claims to be the same passkey."""
    known, challenge = _made(Authenticator()), passkeys.new_challenge()
    other = Authenticator(credential_id=known.credential_id)
    answer = other.get(passkeys.request_options(_PARTY, challenge=challenge, allowed=[]))
    with pytest.raises(PasskeyRefused):
        passkeys.verify_assertion(_PARTY, answer, challenge, known, verified_person=False)


def test_a_page_in_a_foreign_frame_is_refused() -> None:
    """ID13: a frame can be hidden under another page."""
    options = passkeys.request_options(_PARTY, challenge=passkeys.new_challenge(), allowed=[])
    with pytest.raises(PasskeyRefused):
        passkeys.challenge_of(Authenticator().get(options, crossOrigin=True))


_PARTS = st.recursive(
    st.integers() | st.binary() | st.text() | st.none(),
    lambda each: st.lists(each) | st.dictionaries(st.text() | st.integers(), each),
    max_leaves=8,
)
_VALUES = st.text(max_size=40) | st.binary(max_size=100).map(bytes_to_base64url)
_VALUES |= _PARTS.map(lambda each: bytes_to_base64url(encode_cbor(each)))


@given(name=st.sampled_from(("clientDataJSON", "authenticatorData", "signature")), value=_VALUES)
def test_a_damaged_use_is_refused_and_never_an_error_of_ours(name: str, value: str) -> None:
    """ID13, DA1: whatever the library's parsers raise."""
    answer = _DEVICE.get({"challenge": _CHALLENGE})
    answer["response"][name] = value
    with suppress(PasskeyRefused):
        _ = passkeys.challenge_of(answer)
    with pytest.raises(PasskeyRefused):
        passkeys.verify_assertion(_PARTY, answer, _CHALLENGE, _KNOWN, verified_person=False)


@given(name=st.sampled_from(("clientDataJSON", "attestationObject")), value=_VALUES)
def test_a_damaged_registration_is_refused_and_never_an_error_of_ours(name: str, value: str) -> None:
    """ID13, DA1: as above."""
    answer = _DEVICE.create({"challenge": _CHALLENGE, "user": {"id": ""}})
    answer["response"][name] = value
    with suppress(PasskeyRefused):
        _ = passkeys.challenge_of(answer)
    with pytest.raises(PasskeyRefused):
        passkeys.verify_registration(_PARTY, answer, _CHALLENGE)
