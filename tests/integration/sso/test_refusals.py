"""A hostile provider: no forged answer signs a caller in and nothing is left behind."""

from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from tenants.oidc import discovery
from tests.fixtures.oidc import Claims, HostileProvider, hostile_provider, new_key, unsigned
from tests.fixtures.people import SignedIn
from tests.fixtures.single_sign_on import SingleSignOn

pytestmark = pytest.mark.anyio

_SECRETS = ("a secret with", "an access token", "mallory", "eyJ")
_LONG_AGO = 1_600_000_000
_SOON = 4_000_000_000


async def _refused(
    sso: SingleSignOn,
    hostile: HostileProvider,
    case: object = None,
    expected: tuple[int, str] = (401, "credential_invalid"),
) -> None:
    before = sso.traces()
    answer = await sso.attack(hostile)
    assert (answer.status_code, answer.json()["code"]) == expected, (case, answer.text)
    assert not any(each in answer.text for each in _SECRETS), answer.text
    assert sso.traces() == before


async def test_what_it_signs_well_is_accepted(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """The control of all others here: claims in the ID token, and client authentication in the body."""
    hostile.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await sso.connect(hostile)
    session = SignedIn.of(sso.gateway, await sso.attack(hostile))
    assert (await session.get("/v1/me")).json()["principal"]["roles"] == ["viewer"]
    assert "/userinfo" not in hostile.asked


_WRONG_CLAIMS: list[Claims] = [
    {"nonce": "another"},
    {"nonce": None},
    {"iss": "https://login.example.com"},
    {"iss": None},
    {"aud": "another-client"},
    {"aud": ["another-client", "third"]},
    {"aud": ["hostile-client", "another-client"]},
    {"aud": ["hostile-client", "another-client"], "azp": "another-client"},
    {"azp": "another-client"},
    {"aud": None},
    {"exp": _LONG_AGO},
    {"exp": None},
    {"exp": "4000000000"},
    {"exp": float("nan")},
    {"iat": _SOON},
    {"iat": None},
    {"nbf": _SOON},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 256},
    {"email_verified": False},
    {"email_verified": "true"},
    {"email_verified": None},
    {"email": None},
    {"email": "mallory@acme.example@globex.example"},
    {"email": ["mallory@acme.example"]},
]


async def test_a_wrong_claim_is_refused(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """ID6: nonce, issuer, audience, times, subject and a verified address; one error for all."""
    await sso.connect(hostile)
    for claims in _WRONG_CLAIMS:
        hostile.claims = claims
        await _refused(sso, hostile, claims)


def _by_other_key(header: dict[str, Any], claims: Claims) -> str:
    return jwt.encode(header, claims, new_key(), algorithms=["RS256"])


def _with_mac_of_secret(header: dict[str, Any], claims: Claims) -> str:
    return jwt.encode(header | {"alg": "HS256"}, claims, OctKey.import_key("a secret with +, % and :"), ["HS256"])


def _none(header: dict[str, Any], claims: Claims) -> str:
    return unsigned(header | {"alg": "none"}, claims)


def _unsigned(header: dict[str, Any], claims: Claims) -> str:
    return unsigned(header, claims)


def _key_of_its_own(header: dict[str, Any], claims: Claims) -> str:
    key = new_key("own")
    return jwt.encode(header | {"kid": "own", "jwk": key.as_dict(private=False)}, claims, key, algorithms=["RS256"])


def _other_algorithm(header: dict[str, Any], claims: Claims) -> str:
    return jwt.encode(header | {"alg": "ES256"}, claims, ECKey.generate_key("P-256"), algorithms=["ES256"])


async def test_a_wrong_signature_is_refused(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """ID6: the algorithm is pinned, and the key comes from the provider's published set alone."""
    await sso.connect(hostile)
    for forge in (_by_other_key, _with_mac_of_secret, _none, _unsigned, _key_of_its_own, _other_algorithm):
        hostile.forge = forge
        await _refused(sso, hostile, forge)


async def test_what_is_no_token_is_refused(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """DA1: never 500."""
    await sso.connect(hostile)
    for token in ("", "not a token", "a.b.c", "é.é.é", "." * 5, "x" * 40_000):
        hostile.forge = _returning(token)
        await _refused(sso, hostile, token)


def _returning(token: str) -> Callable[[dict[str, Any], Claims], str]:
    return lambda _header, _claims: token


async def test_a_key_that_must_not_verify_is_refused(sso: SingleSignOn) -> None:
    """ID6: another use or algorithm, two keys of one kid, RSA of 1,024 bits, a key that cannot be read, none."""
    good = new_key().as_dict(private=False)
    sets: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
        "encryption": lambda key: [{**key, "use": "enc"}],
        "other algorithm": lambda key: [{**key, "alg": "PS256"}],
        "duplicate": lambda key: [key, good],
        "short": lambda key: [{**key, "n": key["n"][:171]}],
        "broken": lambda key: [{**key, "n": "?"}],
        "none": lambda _key: [],
    }
    for name, changed in sets.items():
        with hostile_provider() as hostile:  # each has a key set of its own, which is cached
            hostile.published = changed(hostile.published[0])
            await sso.connect(hostile)
            await _refused(sso, hostile, name)


async def test_userinfo_of_another_subject_is_refused(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """OpenID Connect Core 1.0 section 5.3.2: the subjects must be compared."""
    await sso.connect(hostile)
    hostile.claims = {"email": None}
    hostile.userinfo = {"sub": "somebody", "email": "mallory@acme.example", "email_verified": True}
    await _refused(sso, hostile)


_RESPONSES: list[tuple[str, tuple[int, dict[str, str], bytes], tuple[int, str]]] = [
    ("/token", (302, {"location": "http://127.0.0.1:9/"}, b""), (401, "credential_invalid")),
    ("/token", (400, {}, b'{"error": "invalid_grant"}'), (401, "credential_invalid")),
    ("/token", (200, {}, b"[" * 60_000), (401, "credential_invalid")),
    ("/token", (200, {}, b'{"id_token": "' + b"x" * 70_000), (503, "unavailable")),
    ("/token", (200, {"content-encoding": "gzip"}, b"x"), (503, "unavailable")),
    ("/token", (500, {}, b""), (503, "unavailable")),
    ("/jwks", (301, {"location": "/keys"}, b'{"keys": []}'), (503, "unavailable")),
    ("/jwks", (200, {}, b"x" * 140_000), (503, "unavailable")),
    ("/jwks", (200, {}, b'{"keys": 7}'), (503, "unavailable")),
]


async def test_a_hostile_response_is_bounded_and_not_followed(sso: SingleSignOn) -> None:
    """PX2, DA2: an outage of the provider is 503, what it refuses is 401."""
    for path, response, expected in _RESPONSES:
        with hostile_provider() as hostile:  # a failure is remembered for a while
            await sso.connect(hostile)
            hostile.raw[path] = response
            await _refused(sso, hostile, (path, response[0]), expected)


async def test_a_provider_that_hangs_is_given_up(
    sso: SingleSignOn, hostile: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PX8: the deadline is 5 s; the test waits for a shorter one."""
    await sso.connect(hostile)
    monkeypatch.setattr(sso.gateway.services.features.outbound, "_total", 0.3)
    hostile.delay["/token"] = 1.5
    await _refused(sso, hostile, expected=(503, "unavailable"))


async def test_unknown_kids_cause_one_fetch_in_30_seconds(
    sso: SingleSignOn, hostile: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ID7: and a new key of the provider is found by that fetch."""
    await sso.connect(hostile)
    hostile.header = {"kid": "unknown"}
    for _ in range(3):
        await _refused(sso, hostile)
    assert hostile.asked.count("/jwks") == 1
    hostile.key, hostile.header = new_key("next"), {}
    hostile.published.append(hostile.key.as_dict(private=False))
    await _refused(sso, hostile)
    monkeypatch.setattr(discovery, "REFETCH_SECONDS", 0.0)
    assert (await sso.attack(hostile)).status_code == 200
    assert hostile.asked.count("/jwks") == 2
    assert isinstance(hostile.key, RSAKey)
