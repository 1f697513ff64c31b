"""Access tokens of keys and of workloads, valid and invalid ones (ID6)."""

from collections.abc import Mapping

import pytest
from joserfc import jwt
from joserfc.jws import JWSRegistry

from tenants.credentials import CredentialExpired, CredentialInvalid
from tenants.identifiers import ApiKeyId, TenantId, UserId, WorkloadRuleId, new_id, show
from tenants.sign_in.access_tokens import AccessClaims, AccessTokens, KeyClaims, WorkloadClaims
from tenants.sign_in.signing_keys import SigningKeys, generate_signing_keys

_NOW = 1_790_000_000.0
_KEYS = SigningKeys.load(generate_signing_keys("key-1"))
_USER, _TENANT, _SESSION = UserId(new_id()), TenantId(new_id()), new_id()


def _tokens() -> AccessTokens:
    return AccessTokens(_KEYS, issuer="https://gate.test", audience="tenantry", clock=lambda: _NOW)


def _claims() -> dict[str, object]:
    """Of a person, as the last release issues them."""
    return {
        "iss": "https://gate.test",
        "aud": "tenantry",
        "sub": show("usr", _USER),
        "exp": int(_NOW) + 900,
        "iat": int(_NOW),
        "jti": "1",
        "tenant": show("tnt", _TENANT),
        "sid": str(_SESSION),
    }


def _signed(claims: Mapping[str, object]) -> bytes:
    """With our own key, so that only the claims can be the reason for a rejection."""
    header = {"alg": "Ed25519", "typ": "at+jwt", "kid": "key-1"}
    registry = JWSRegistry(algorithms=["Ed25519"])
    return jwt.encode(header, dict(claims), _KEYS.signing_key, registry=registry, default_type=None).encode()


_KEY, _RULE = ApiKeyId(new_id()), WorkloadRuleId(new_id())


def _of_key(**changed: object) -> dict[str, object]:
    own = {"sub": show("key", _KEY), "client_id": show("key", _KEY), "scope": "deals:read usage:read"}
    return {name: value for name, value in (_claims() | own | changed).items() if value is not None}


def _of_workload(**changed: object) -> dict[str, object]:
    subject = show("wlr", _RULE)
    own = {"sub": subject, "client_id": subject, "rule_version": 3, "workload": "repo:a/b", "exp": int(_NOW) + 300}
    return {name: value for name, value in (_claims() | own | changed).items() if value is not None}


def test_tokens_of_keys_and_workloads_are_told_apart_by_their_subject() -> None:
    """RFC 9068: what is issued is what is verified; a token without a scope follows its key."""
    tokens = _tokens()
    for scopes in (None, frozenset({"usage:read", "deals:read"})):
        of_key = tokens.issue_for_key(_KEY, _TENANT, scopes)
        assert of_key.expires_in == 900
        assert tokens.verify(of_key.token.encode()) == KeyClaims(_KEY, _TENANT, scopes, _NOW + 900)
        claims = WorkloadClaims(_RULE, _TENANT, 3, scopes, "repo:a/b", _NOW + 60)
        of_workload = tokens.issue_for_workload(claims, 60)
        assert of_workload.expires_in == 60
        assert tokens.verify(of_workload.token.encode()) == claims
    assert tokens.issue_for_workload(claims, 900).expires_in == 300, "never longer"
    assert tokens.verify(_signed(_of_key())) == KeyClaims(_KEY, _TENANT, scopes, _NOW + 900)
    assert isinstance(tokens.verify(_signed(_of_workload())), WorkloadClaims)
    assert isinstance(tokens.verify(_signed(_claims())), AccessClaims), "as the last release issues it"


def test_the_token_of_a_key_ends_with_the_key() -> None:
    """ID4: at the second, and none is issued for one that has ended."""
    assert _tokens().issue_for_key(_KEY, _TENANT, None, ends_at=_NOW + 60.9).expires_in == 60
    for end in (_NOW, _NOW + 0.9, _NOW - 1):
        with pytest.raises(CredentialExpired):
            _tokens().issue_for_key(_KEY, _TENANT, None, ends_at=end)


@pytest.mark.parametrize(
    "claims",
    [
        _of_key(client_id=None),
        _of_key(client_id=show("key", new_id())),
        _of_key(scope=["deals:read"]),
        _of_key(exp=int(_NOW) + 901),
        _of_key(sub=show("opk", new_id()), client_id=show("opk", new_id())),
        _of_workload(client_id=None),
        _of_workload(exp=int(_NOW) + 301),
        _of_workload(rule_version="3"),
        _of_workload(rule_version=True),
        _of_workload(rule_version=None),
        _of_workload(workload=None),
        _of_workload(scope=None, tenant=None),
    ],
)
def test_claims_of_another_kind_are_rejected(claims: dict[str, object]) -> None:
    """ID6: each kind has its own claims, well-typed."""
    with pytest.raises(CredentialInvalid):
        _tokens().verify(_signed(claims))
