"""The one credential of a request, parsed from its header fields."""

import pytest

from gateway.identity.credential import MAX_LENGTH, read_credential, sent_credentials, text_of
from tenants.credentials import CredentialInvalid
from tests.asgi import Header, http_scope, request_context

_KEY = b"tn_live_abc"
_OTHER = b"tn_live_xyz"


def _found(headers: list[Header]) -> bytes | None:
    request = request_context(http_scope(headers=headers))
    sent = sent_credentials(request.fields)
    return None if sent is None else read_credential(sent, request.scope, request.fields).text


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer " + _KEY)],
        [(b"authorization", b"bearer " + _KEY)],
        [(b"authorization", b"BEARER   " + _KEY + b" ")],
        [(b"x-api-key", _KEY)],
        [(b"x-api-key", b" " + _KEY + b"\t")],
        [(b"host", b"x"), (b"x-api-key", _KEY), (b"authorization", b"Bearer " + _KEY)],
    ],
)
def test_a_credential_is_read_from_either_header_and_from_both_when_equal(headers: list[Header]) -> None:
    """Authorization: Bearer, or X-API-Key. The scheme is case-insensitive (RFC 9110 section 11.1)."""
    assert _found(headers) == _KEY


def test_no_header_is_no_credential() -> None:
    """A missing credential is no error in itself: the route may be public."""
    assert _found([(b"host", b"x"), (b"cookie", b"a=b")]) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"authorization", b"Bearer " + _KEY), (b"x-api-key", _OTHER)], id="two different"),
        pytest.param([(b"authorization", b"Bearer " + _KEY)] * 2, id="Authorization twice"),
        pytest.param([(b"x-api-key", _KEY)] * 2, id="X-API-Key twice"),
        pytest.param([(b"authorization", b"")], id="empty"),
        pytest.param([(b"authorization", b"Bearer")], id="scheme alone"),
        pytest.param([(b"authorization", b"Bearer   ")], id="scheme and spaces"),
        pytest.param([(b"authorization", _KEY)], id="no scheme"),
        pytest.param([(b"authorization", b"Basic dXNlcjpwYXNz")], id="another scheme"),
        pytest.param([(b"authorization", b"Bearer\t" + _KEY)], id="a tab"),
        pytest.param([(b"x-api-key", b"")], id="empty key"),
        pytest.param([(b"x-api-key", b"aaa.bbb.ccc")], id="a token as key"),
        pytest.param([(b"x-api-key", b"Bearer " + _KEY)], id="a scheme in X-API-Key"),
        pytest.param([(b"authorization", b""), (b"x-api-key", _KEY)], id="empty beside a good one"),
        pytest.param([(b"authorization", b"Bearer " + b"a" * (MAX_LENGTH + 1))], id="too long"),
    ],
)
def test_ambiguous_and_malformed_credentials_are_refused(headers: list[Header]) -> None:
    """Two different credentials are 401, and so is a malformed one."""
    with pytest.raises(CredentialInvalid):
        _found(headers)


@pytest.mark.parametrize("credential", [b"tn_live_\xe9", b"a b", b"a,b", b"a\x00b", b"a\nb", b'a"b', b"a\x7f"])
def test_characters_outside_token68_are_refused(credential: bytes) -> None:
    """RFC 9110 section 11.2. Non-ASCII is 401, not a decoding error."""
    with pytest.raises(CredentialInvalid):
        text_of(credential)


def test_the_refusal_never_contains_the_credential() -> None:
    """AZ8, SE2: neither in the response nor in the log."""
    with pytest.raises(CredentialInvalid) as caught:
        _found([(b"authorization", b"Bearer " + _KEY), (b"x-api-key", _OTHER)])
    assert "tn_live" not in f"{caught.value} {caught.value.message} {caught.value.detail}"
