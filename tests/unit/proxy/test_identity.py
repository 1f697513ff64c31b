"""``Tenantry-Identity``: what it says, how long, and that it is no access token."""

import json
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.proxy.identity import LONGEST_LIFE, TYPE, IdentityTokens
from tenants.credentials import CredentialInvalid
from tenants.identifiers import API_KEY, OPERATOR_KEY, USER, WORKLOAD_RULE, show
from tenants.identifiers import TENANT as TENANT_PREFIX
from tenants.principal import PrincipalKind
from tenants.routes.schemas import IdentityClaim
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.signing_keys import SigningKeys, generate_signing_keys
from tests.fixtures.principals import TENANT, FixedPlan, FixedPlans, SettableClock, principal_of_key

_NOW = 1_790_000_000
_REQUEST_ID = "req_01h455vb4pex5vsknk084sn02q"


class _World:
    """Identity tokens and access tokens of the same keys, at the same time."""

    def __init__(self, keys: str | None = None) -> None:
        self.clock = SettableClock(_NOW)
        self.keys = SigningKeys.load(keys or generate_signing_keys("one"))
        self.plans = FixedPlans(FixedPlan({"seats": 5}))
        self.access = AccessTokens(self.keys, issuer="https://gate.test", audience="tenantry", clock=self.clock)
        self.tokens = IdentityTokens(self.access, self.plans, self.clock)

    def decoded(self, token: bytes) -> jwt.Token:
        """Verified as an upstream does it: with the published keys."""
        return jwt.decode(token, KeySet.import_key_set(json.loads(self.keys.public_document)), algorithms=["Ed25519"])


def test_it_says_who_asks_for_one_minute_and_one_upstream() -> None:
    """Tenant, principal and roles always; plan, features and request id where the route wants them."""
    world = _World()
    principal = principal_of_key(roles=("member", "billing"), scopes=frozenset({"echo:use", "deals:read"}))
    plain = world.decoded(world.tokens.signer("echo").value(principal, _REQUEST_ID))
    expected: dict[str, Any] = {
        "iss": "https://gate.test",
        "aud": "echo",
        "sub": show(API_KEY, principal.id),
        "kind": "api_key",
        "tenant": show(TENANT_PREFIX, TENANT.id),
        "tenant_slug": "acme",
        "roles": ["member", "billing"],
        "scope": "deals:read echo:use",
        "iat": _NOW,
        "exp": _NOW + LONGEST_LIFE,
    }
    assert plain.header == {"alg": "Ed25519", "typ": TYPE, "kid": "one"}
    assert plain.claims == expected
    full = world.decoded(world.tokens.signer("echo", IdentityClaim).value(principal, _REQUEST_ID))
    assert full.claims == expected | {"plan": "pro", "features": {"seats": 5}, "request_id": _REQUEST_ID}


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [(PrincipalKind.USER, USER), (PrincipalKind.WORKLOAD, WORKLOAD_RULE), (PrincipalKind.OPERATOR, OPERATOR_KEY)],
    ids=str,
)
def test_the_subject_has_the_type_of_the_principal(kind: PrincipalKind, prefix: str) -> None:
    """Principal kind and id."""
    world = _World()
    principal = principal_of_key(kind=kind)
    claims = world.decoded(world.tokens.signer("echo").value(principal, _REQUEST_ID)).claims
    assert (claims["kind"], claims["sub"]) == (kind.value, show(prefix, principal.id))


def test_one_token_serves_two_thirds_of_its_life_and_no_moment_more() -> None:
    """Signed once for each principal and upstream."""
    world = _World()
    signer, principal = world.tokens.signer("echo"), principal_of_key()
    first = signer.value(principal, _REQUEST_ID)
    world.clock.now = _NOW + 39.9
    assert signer.value(principal, _REQUEST_ID) is first
    assert world.tokens.signer("echo") is signer
    assert world.tokens.signer("other").value(principal, _REQUEST_ID) != first
    world.clock.now = _NOW + 40
    assert signer.value(principal, _REQUEST_ID) != first


def test_it_never_outlives_the_credential() -> None:
    """ID6: at the last second of a key it lives for one second."""
    world = _World()
    for left, life in ((600, 60), (30, 30), (0.5, 1)):
        principal = principal_of_key(expires_at=_NOW + left)
        claims = world.decoded(world.tokens.signer("echo").value(principal, _REQUEST_ID)).claims
        assert claims["exp"] - claims["iat"] == life


def test_a_changed_principal_gets_a_new_token_at_once() -> None:
    """ID4: roles, plan and status make a new principal; a token is never older than it, nor than the plan."""
    world = _World()
    signer = world.tokens.signer("echo", [IdentityClaim.PLAN, IdentityClaim.FEATURES])
    principal = principal_of_key()
    first = signer.value(principal, _REQUEST_ID)
    demoted = replace(principal, roles=("viewer",))
    assert world.decoded(signer.value(demoted, _REQUEST_ID)).claims["roles"] == ["viewer"]
    assert signer.value(principal, _REQUEST_ID) is first
    world.plans.current = FixedPlan({"seats": 6})
    assert world.decoded(signer.value(principal, _REQUEST_ID)).claims["features"] == {"seats": 6}


def test_a_token_with_a_request_id_is_of_that_request_alone() -> None:
    """The request id where the route wants it."""
    world = _World()
    signer, principal = world.tokens.signer("echo", [IdentityClaim.REQUEST_ID]), principal_of_key()
    ids = [world.decoded(signer.value(principal, each)).claims["request_id"] for each in ("req_a", "req_b")]
    assert ids == ["req_a", "req_b"]


def test_it_is_no_access_token() -> None:
    """ID6: the same keys and issuer, and even the same audience."""
    world = _World()
    for audience in ("echo", "tenantry"):
        token = world.tokens.signer(audience, IdentityClaim).value(principal_of_key(), _REQUEST_ID)
        with pytest.raises(CredentialInvalid, match="unexpected header"):
            world.access.verify(token)


def test_a_rotated_key_verifies_what_it_has_signed() -> None:
    """ID7: the keys that are published during a rotation verify the tokens of workers before and after it."""
    old, new = generate_signing_keys("old"), generate_signing_keys("new")
    keys = [*json.loads(old)["keys"], *json.loads(new)["keys"]]
    before, after = _World(json.dumps({"keys": keys})), _World(json.dumps({"keys": keys[::-1]}))
    for signs, verifies in ((before, after), (after, before), (after, after)):
        token = verifies.decoded(signs.tokens.signer("echo").value(principal_of_key(), _REQUEST_ID))
        assert token.header["kid"] == signs.keys.signing_kid


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """LD2: the oldest token goes first."""
    monkeypatch.setattr("gateway.proxy.identity._MOST_CACHED", 2)
    world = _World()
    signer = world.tokens.signer("echo")
    principals = [principal_of_key() for _ in range(3)]
    for each in principals[:2]:
        signer.value(each, _REQUEST_ID)
    kept = signer.value(principals[1], _REQUEST_ID)
    signer.value(principals[2], _REQUEST_ID)
    assert signer.value(principals[1], _REQUEST_ID) is kept
    assert len(signer._signed) == 2
