"""Access tokens, valid and invalid ones (ID6)."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from tenants.credentials import CredentialExpired, CredentialInvalid
from tenants.identifiers import TenantId, UserId, new_id, show
from tenants.sign_in.access_tokens import LONGEST_TOKEN, AccessClaims, AccessTokens
from tenants.sign_in.signing_keys import SigningKeys, generate_signing_keys

_NOW = 1_790_000_000.0
_KEY_SET = generate_signing_keys("key-1")
_KEYS = SigningKeys.load(_KEY_SET)
_USER, _TENANT, _SESSION = UserId(new_id()), TenantId(new_id()), new_id()


def _tokens(now: float = _NOW, keys: SigningKeys = _KEYS, issuer: str = "https://gate.test") -> AccessTokens:
    return AccessTokens(keys, issuer=issuer, audience="tenantry", clock=lambda: now)


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _header(**changed: object) -> dict[str, object]:
    return {"alg": "Ed25519", "typ": "at+jwt", "kid": "key-1", **changed}


def _claims(**changed: object) -> dict[str, object]:
    return {
        "iss": "https://gate.test",
        "aud": "tenantry",
        "sub": show("usr", _USER),
        "exp": int(_NOW) + 900,
        "iat": int(_NOW),
        "jti": "1",
        "tenant": show("tnt", _TENANT),
        "sid": str(_SESSION),
        **changed,
    }


def _private() -> Ed25519PrivateKey:
    text = json.loads(_KEY_SET)["keys"][0]["d"]
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text + "="))


def _signed(header: object, claims: object) -> bytes:
    """Signed with our own key, so that only header or claims can be the reason for a rejection."""
    text = [each if isinstance(each, str) else json.dumps(each) for each in (header, claims)]
    return _signed_segments(_b64(text[0].encode()), _b64(text[1].encode()))


def _signed_segments(header: str, claims: str) -> bytes:
    content = f"{header}.{claims}"
    return f"{content}.{_b64(_private().sign(content.encode()))}".encode()


def _without(name: str) -> dict[str, object]:
    return {key: value for key, value in _claims().items() if key != name}


def _person(tokens: AccessTokens, token: bytes) -> AccessClaims:
    claims = tokens.verify(token)
    assert isinstance(claims, AccessClaims)
    return claims


def test_a_token_contains_the_user_and_the_tenant() -> None:
    """docs/api.md: typ at+jwt; iss, aud, sub, exp, iat, jti, tenant; asymmetric."""
    token = _tokens().issue(_USER, _TENANT, _SESSION, ["pwd", "otp"])
    claims = _person(_tokens(), token.encode())
    assert (claims.user_id, claims.tenant_id, claims.session_id) == (_USER, _TENANT, _SESSION)
    assert claims.methods == ("pwd", "otp")
    header, content = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    assert header == {"alg": "Ed25519", "typ": "at+jwt", "kid": "key-1"}
    assert set(content) == {"iss", "aud", "sub", "exp", "iat", "jti", "tenant", "sid", "amr"}
    assert content["exp"] - content["iat"] == 900


def test_tokens_signed_by_this_module_are_accepted() -> None:
    """Otherwise the tests below would pass for the wrong reason."""
    assert _person(_tokens(), _signed(_header(), _claims())).user_id == _USER


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(_header(alg="none"), id="alg none"),
        pytest.param(_header(alg="None"), id="alg None"),
        pytest.param(_header(alg="HS256"), id="HS256"),
        pytest.param(_header(alg="EdDSA"), id="the old name of the algorithm"),
        pytest.param(_header(alg=["Ed25519"]), id="alg a list"),
        pytest.param({"typ": "at+jwt", "kid": "key-1"}, id="no alg"),
        pytest.param(_header(typ="JWT"), id="another typ"),
        pytest.param({"alg": "Ed25519", "kid": "key-1"}, id="no typ"),
        pytest.param(_header(kid="key-2"), id="unknown kid"),
        pytest.param(_header(kid="KEY-1"), id="kid in another case"),
        pytest.param(_header(kid="key-1 "), id="kid with a space"),
        pytest.param(_header(kid="../key-1"), id="kid as a path"),
        pytest.param(_header(kid=1), id="kid a number"),
        pytest.param(_header(kid=None), id="kid null"),
        pytest.param({"alg": "Ed25519", "typ": "at+jwt"}, id="no kid"),
        pytest.param(_header(jku="https://evil.test/jwks"), id="jku"),
        pytest.param(_header(x5u="https://evil.test/x5u"), id="x5u"),
        pytest.param(_header(x5c=["MIIB"]), id="x5c"),
        pytest.param(_header(jwk={"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}), id="jwk"),
        pytest.param(_header(crit=["exp"]), id="crit"),
        pytest.param(_header(b64=False, crit=["b64"]), id="b64"),
        pytest.param(_header(cty="JWT"), id="any other member"),
        pytest.param('{"alg":"none","alg":"Ed25519","typ":"at+jwt","kid":"key-1"}', id="alg twice"),
        pytest.param('["Ed25519"]', id="not an object"),
        pytest.param("{", id="not JSON"),
        pytest.param('{"alg":NaN}', id="NaN"),
    ],
)
def test_a_header_that_we_do_not_issue_is_rejected_despite_a_valid_signature(header: object) -> None:
    """ID6: algorithm bound to the key, exact kid, no header that supplies a key or changes the format."""
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_signed(header, _claims()))


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(_claims(iss="https://other.test"), id="another issuer"),
        pytest.param(_claims(iss=["https://gate.test"]), id="issuer a list"),
        pytest.param(_claims(aud="billing"), id="another audience"),
        pytest.param(_claims(aud=["tenantry", "billing"]), id="several audiences"),
        *(
            pytest.param(_without(name), id=f"no {name}")
            for name in ("iss", "aud", "sub", "exp", "iat", "jti", "tenant")
        ),
        pytest.param(_claims(exp=str(int(_NOW) + 900)), id="exp text"),
        pytest.param(_claims(exp=_NOW + 900.5), id="exp a fraction"),
        pytest.param(_claims(exp=True), id="exp a bool"),
        pytest.param(_claims(iat=None), id="iat null"),
        pytest.param(_claims(iat=int(_NOW) + 61, exp=int(_NOW) + 900), id="issued in the future"),
        pytest.param(_claims(exp=int(_NOW) + 901), id="lives too long"),
        pytest.param(_claims(exp=10**30), id="exp out of all bounds"),
        pytest.param(_claims(nbf=int(_NOW) + 61), id="not good yet"),
        pytest.param(_claims(nbf="now"), id="nbf text"),
        pytest.param(_claims(sub=show("tnt", _TENANT)), id="sub of another kind"),
        pytest.param(_claims(sub="usr_"), id="sub no id"),
        pytest.param(_claims(tenant=show("usr", _USER)), id="tenant of another kind"),
        pytest.param(_claims(jti=""), id="jti empty"),
        pytest.param(_claims(sid="1"), id="sid no id"),
        pytest.param(_claims(sid=1), id="sid a number"),
        pytest.param(_claims(amr="pwd"), id="amr a text"),
        pytest.param(_claims(amr=["pwd", 1]), id="amr with a number"),
        pytest.param([], id="not an object"),
        pytest.param('{"sub":"a","sub":"b"}', id="a claim twice"),
        pytest.param("{" * 3000, id="not JSON"),
    ],
)
def test_claims_that_we_do_not_issue_are_rejected_despite_a_valid_signature(claims: object) -> None:
    """ID6: iss, aud, exp, iat required and well-typed; leeway at most 60 s; at most 15 minutes."""
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_signed(_header(), claims))


def test_an_expired_token_has_its_own_error() -> None:
    """docs/api.md: credential_expired."""
    token = _tokens().issue(_USER, _TENANT, _SESSION).encode()
    with pytest.raises(CredentialExpired):
        _tokens(_NOW + 900).verify(token)


def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_rejected() -> None:
    """ID6: algorithm confusion of HMAC and public key."""
    public = json.loads(_KEYS.public_document)["keys"][0]["x"]
    content = f"{_b64(json.dumps(_header(alg='HS256')).encode())}.{_b64(json.dumps(_claims()).encode())}"
    for secret in (public.encode(), base64.urlsafe_b64decode(public + "="), _KEYS.public_document):
        signature = hmac.digest(secret, content.encode(), hashlib.sha256)
        with pytest.raises(CredentialInvalid):
            _tokens().verify(f"{content}.{_b64(signature)}".encode())


def test_a_token_signed_by_another_key_with_the_same_kid_is_rejected() -> None:
    """ID6: the token does not choose the key."""
    theirs = SigningKeys.load(generate_signing_keys("key-1"))
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_tokens(keys=theirs).issue(_USER, _TENANT, _SESSION).encode())


def _altered(position: int) -> bytes:
    token = _tokens().issue(_USER, _TENANT, _SESSION)
    other = "A" if token[position] != "A" else "B"
    return (token[:position] + other + token[position + 1 :]).encode()


@pytest.mark.parametrize("position", [0, 5, 60, 100, 200, -80, -40, -2])
def test_any_changed_character_invalidates_the_token(position: int) -> None:
    """ID6: header, claims and signature are all covered."""
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_altered(position))


@pytest.mark.parametrize("tail", ["=", "==", "\n", " ", ".", "+", "é"])
def test_base64url_is_parsed_strictly(tail: str) -> None:
    """ID6: a token has one encoding, so a rejected one cannot be re-encoded."""
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_tokens().issue(_USER, _TENANT, _SESSION).encode() + tail.encode())


def test_bits_that_base64url_does_not_use_must_be_zero() -> None:
    """ID6: the last character of a 64-byte signature has two bits; other characters with the same two are rejected."""
    token = _tokens().issue(_USER, _TENANT, _SESSION)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bits = letters[letters.index(token[-1]) + 1]
    with pytest.raises(CredentialInvalid):
        _tokens().verify((token[:-1] + same_bits).encode())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("part", ["header", "claims"])
def test_json_in_another_encoding_is_rejected_despite_a_valid_signature(encoding: str, part: str) -> None:
    """ID6: UTF-8 without a byte order mark (RFC 8259 section 8.1), as we write it."""
    parts = {"header": json.dumps(_header()).encode(), "claims": json.dumps(_claims()).encode()}
    assert _person(_tokens(), _signed_segments(*map(_b64, parts.values()))).user_id == _USER
    parts[part] = parts[part].decode().encode(encoding)
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_signed_segments(*map(_b64, parts.values())))


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("change", ["unused bits", "padding", "a line break", "the standard alphabet"])
def test_a_signed_segment_has_one_spelling(part: int, change: str) -> None:
    """ID6: other spellings of the same header and claims are rejected though the signature covers them."""
    contents = [json.dumps(each) for each in (_header(), _claims())]
    contents[part] += " " * (-(len(contents[part]) + 2) % 3)  # so that the last character has unused bits
    segments = [_b64(each.encode()) for each in contents]
    segments[part] = _respelled(segments[part], change)
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_signed_segments(*segments))


def _respelled(segment: str, change: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return {
        "unused bits": segment[:-1] + letters[letters.index(segment[-1]) + 1],
        "padding": segment + "=" * (-len(segment) % 4),
        "a line break": segment[:8] + "\n" + segment[8:],
        "the standard alphabet": segment[:-4] + "+/" + segment[-2:],
    }[change]


def test_a_token_over_8_kb_is_rejected_before_it_is_decoded() -> None:
    """ID6: even a valid one."""
    with pytest.raises(CredentialInvalid) as caught:
        _tokens().verify(_signed(_header(), _claims(padding="x" * LONGEST_TOKEN)))
    assert "8 KB" in caught.value.detail


def test_tokens_of_the_old_key_are_valid_while_it_is_in_the_set() -> None:
    """ID7: the first key signs, the old one still verifies."""
    old = json.loads(_KEY_SET)["keys"]
    new = json.loads(generate_signing_keys("key-2"))["keys"]
    rotated = SigningKeys.load(json.dumps({"keys": new + old}))
    token = _tokens().issue(_USER, _TENANT, _SESSION).encode()
    assert _person(_tokens(keys=rotated), token).user_id == _USER
    assert rotated.signing_kid == "key-2"
    with pytest.raises(CredentialInvalid):
        _tokens(keys=SigningKeys.load(json.dumps({"keys": new}))).verify(token)


def test_the_served_key_set_contains_public_keys_only() -> None:
    """SE2: no private key leaves the process."""
    (shown,) = json.loads(_KEYS.public_document)["keys"]
    assert set(shown) == {"kty", "crv", "x", "kid", "use", "alg"}


def _key(**changed: Any) -> dict[str, Any]:
    entry = {**json.loads(generate_signing_keys("key-1"))["keys"][0], **changed}
    return {name: value for name, value in entry.items() if value is not None}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("[]", id="a list"),
        pytest.param('{"keys": []}', id="empty"),
        pytest.param("nothing", id="not JSON"),
        pytest.param(json.dumps({"keys": [_key(), _key()]}), id="a kid twice"),
        pytest.param(json.dumps({"keys": [_key(kid=None)]}), id="no kid"),
        pytest.param(json.dumps({"keys": [_key(use="enc")]}), id="for encryption"),
        pytest.param(json.dumps({"keys": [_key(key_ops=["deriveKey"])]}), id="for derivation"),
        pytest.param(json.dumps({"keys": [_key(key_ops=["verify"])]}), id="a signing key that must not sign"),
        pytest.param(json.dumps({"keys": [_key(key_ops=["sign", "sign"])]}), id="an operation twice"),
        pytest.param(json.dumps({"keys": [_key(key_ops=["sign", "encrypt"])]}), id="an unrelated operation"),
        pytest.param(json.dumps({"keys": [_key(key_ops=[])]}), id="no operation"),
        *(
            pytest.param(json.dumps({"keys": [{**_key(), "key_ops": wrong}]}), id=f"key_ops {wrong!r}")
            for wrong in ("sign", 5, None, True, {"sign": 1}, [["sign"]], [1])
        ),
        pytest.param(json.dumps({"keys": [_key(alg="ES256")]}), id="for another algorithm"),
        pytest.param(json.dumps({"keys": [_key(alg=["Ed25519"])]}), id="alg a list"),
        pytest.param("[" * 100_000, id="nested without end"),
        pytest.param(json.dumps({"keys": [_key(crv="Ed448")]}), id="another curve"),
        pytest.param(json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}), id="a shared secret"),
        pytest.param(json.dumps({"keys": [_key(d=None)]}), id="a public key first"),
        pytest.param(json.dumps({"keys": [_key(x=_key()["x"])]}), id="halves of two keys"),
        pytest.param(json.dumps({"keys": [_key(d="AAAA")]}), id="a short key"),
        pytest.param(json.dumps({"keys": [OKPKey.generate_key("X25519").as_dict() | {"kid": "a"}]}), id="X25519"),
        pytest.param(json.dumps({"keys": ["key"]}), id="not an object"),
    ],
)
def test_an_ambiguous_key_set_is_rejected_at_start(document: str) -> None:
    """ID6: duplicate kids rejected at load; use and key_ops checked; no other key type."""
    with pytest.raises(ValueError, match=r"sign|keys|Expecting"):
        SigningKeys.load(document)


def test_keys_that_name_their_operations_are_accepted() -> None:
    """ID6, ID7: RFC 7517 section 4.3; an older key may be for verifying only."""
    older = {name: value for name, value in _key(kid="key-0").items() if name != "d"}
    keys = [_key(key_ops=["sign"]), {**older, "key_ops": ["verify"]}]
    assert SigningKeys.load(json.dumps({"keys": keys})).find("key-0") is not None


@pytest.mark.parametrize("lifetime", [0, 901])
def test_access_tokens_are_valid_for_at_most_15_minutes(lifetime: int) -> None:
    """docs/api.md, "Credentials"."""
    with pytest.raises(ValueError, match="900"):
        AccessTokens(_KEYS, issuer="i", audience="a", lifetime=lifetime)
