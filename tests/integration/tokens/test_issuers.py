"""Issuers that are down, slow, hostile or private: a clear error in time, and others are served meanwhile."""

import asyncio

import pytest

from tenants.oidc import discovery
from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.oidc import HostileProvider, hostile_provider, new_key
from tests.fixtures.tokens import Tokens

pytestmark = pytest.mark.anyio


async def test_unknown_kids_cause_one_fetch_in_30_seconds(
    tokens: Tokens, hostile: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ID7: and a new key of the issuer is found by that fetch."""
    rule = await tokens.rule(hostile.issuer)
    hostile.header = {"kid": "unknown"}
    for _ in range(3):
        assert (await tokens.exchange(rule, hostile.workload_token())).status_code == 400
    assert hostile.asked.count("/jwks") == 1
    hostile.key, hostile.header = new_key("next"), {}
    hostile.published.append(hostile.key.as_dict(private=False))
    monkeypatch.setattr(discovery, "REFETCH_SECONDS", 0.0)
    assert (await tokens.exchange(rule, hostile.workload_token())).status_code == 200
    assert hostile.asked.count("/jwks") == 2


_LARGE = b'{"keys": [' + b'{"kty":"RSA"},' * 10_000 + b"{}]}"


_UNUSABLE: list[tuple[int, dict[str, str], bytes]] = [
    (500, {}, b""),
    (302, {"location": "http://127.0.0.1:1/jwks"}, b""),
    (200, {"content-length": str(10**9)}, b"{" + b" " * 200_000),  # it says 1 GB; 128 KiB are read
    (200, {}, _LARGE),
    (200, {"content-encoding": "gzip"}, b"{}"),
    (200, {}, b"[]"),
    (200, {}, b"\xff"),
]


async def test_an_issuer_that_publishes_no_keys_is_unavailable(tokens: Tokens) -> None:
    """PX1, PX2: 503 with Retry-After, no redirect followed, nothing large read."""
    for raw in _UNUSABLE:
        with hostile_provider() as hostile:
            rule, token = await tokens.rule(hostile.issuer), hostile.workload_token()
            hostile.raw["/jwks"] = raw
            answer = await tokens.exchange(rule, token)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable"), answer.text
        assert int(answer.headers["retry-after"]) >= 1
    with hostile_provider() as gone:
        rule, token = await tokens.rule(gone.issuer), gone.workload_token()
    assert (await tokens.exchange(rule, token)).status_code == 503


async def test_a_slow_issuer_delays_nobody_else(
    tokens: Tokens, hostile: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP3, IS10: its exchanges end in time, and few wait; those of another issuer, and other requests, do not wait."""
    monkeypatch.setattr("tenants.workloads.exchange._ISSUER_SECONDS", 1.0)
    rule = await tokens.rule(hostile.issuer)
    hostile.delay["/jwks"] = 30.0
    with hostile_provider() as quick:
        other = await tokens.rule(quick.issuer)
        waiting = [asyncio.create_task(tokens.exchange(rule, hostile.workload_token())) for _ in range(40)]
        await asyncio.sleep(0)
        async with asyncio.timeout(5.0):
            assert (await tokens.exchange(other, quick.workload_token())).status_code == 200
            assert (await tokens.gateway.client.get("/v1/me", headers=tokens.gateway.acme.key())).status_code == 200
            assert {each.status_code for each in await asyncio.gather(*waiting)} == {503}
    assert hostile.asked.count("/jwks") <= 2


async def test_an_issuer_at_a_private_address_is_not_asked(
    gateways: GatewayFactory, hostile: HostileProvider, tokens: Tokens
) -> None:
    """PX1: when a rule is made, and when the keys are fetched by a worker that may not reach the address."""
    rule = await tokens.rule(hostile.issuer)
    before = len(hostile.asked)
    async with gateways() as strict:
        refused = await Tokens(strict).create_rule(hostile.issuer)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "issuer_unusable")
        answer = await Tokens(strict).exchange(rule, hostile.workload_token())
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert len(hostile.asked) == before
