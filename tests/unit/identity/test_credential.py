"""The one credential of a request, found in its raw headers."""

import pytest

from gateway.identity.credential import LONGEST, read_credential, sent_credentials, text_of
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
def test_a_credential_is_found_in_either_header_and_in_both_when_they_agree(headers: list[Header]) -> None:
    """CONTRACT: Authorization: Bearer, or X-API-Key. The scheme's case does not matter (RFC 9110 section 11.1)."""
    assert _found(headers) == _KEY


def test_no_header_is_no_credential() -> None:
    """A missing credential is not an error yet: the route may be public."""
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
        pytest.param([(b"authorization", b"Bearer " + b"a" * (LONGEST + 1))], id="too long"),
    ],
)
def test_what_could_be_read_in_two_ways_or_none_is_refused(headers: list[Header]) -> None:
    """CONTRACT: two different credentials are 401; so is whatever is there and cannot be one."""
    with pytest.raises(CredentialInvalid):
        _found(headers)


@pytest.mark.parametrize("credential", [b"tn_live_\xe9", b"a b", b"a,b", b"a\x00b", b"a\nb", b'a"b', b"a\x7f"])
def test_characters_that_no_credential_has_are_refused(credential: bytes) -> None:
    """RFC 9110 section 11.2: token68 and nothing else; non-ASCII is 401, not a decoding error."""
    with pytest.raises(CredentialInvalid):
        text_of(credential)


def test_the_refusal_never_repeats_what_was_sent() -> None:
    """AZ8, SE2: neither the caller nor the log sees the credential."""
    with pytest.raises(CredentialInvalid) as caught:
        _found([(b"authorization", b"Bearer " + _KEY), (b"x-api-key", _OTHER)])
    assert "tn_live" not in f"{caught.value} {caught.value.message} {caught.value.detail}"
