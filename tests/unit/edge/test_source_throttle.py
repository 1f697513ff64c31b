"""Failed credentials cost their sender (TH4)."""

import pytest
from starlette.types import Receive, Scope, Send

from gateway.edge.source_throttle import SourceThrottleStage
from gateway.request_context import context_of
from gateway.throttle.errors import RateLimited
from tenants.credentials import CredentialInvalid, CredentialMissing
from tenants.identifiers import new_id
from tenants.principal import Operator
from tests.asgi import HOST, Answer, ask, http_scope, in_context, says_ok

pytestmark = pytest.mark.anyio


class Identity:
    """Knows one good key, and counts how often it had to look."""

    def __init__(self, good: bytes = b"good") -> None:
        self.good = good
        self.looked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(b"x-api-key")
        if sent is not None:
            self.looked += 1
            if sent != self.good:
                raise CredentialInvalid
            context_of(scope).operator = Operator(new_id(), "ada")
        await says_ok(scope, receive, send)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _send(stage: SourceThrottleStage, key: bytes | None, source: str = "192.0.2.1") -> Answer:
    headers = [HOST] if key is None else [HOST, (b"x-api-key", key)]
    return await ask(stage, in_context(http_scope(headers=headers), source))


async def _fail(stage: SourceThrottleStage, times: int, source: str = "192.0.2.1") -> None:
    for number in range(times):
        with pytest.raises(CredentialInvalid):
            await _send(stage, b"bad %d" % number, source)


async def test_past_the_bound_a_source_is_refused_before_its_credential_is_looked_at() -> None:
    """TH4."""
    identity, clock = Identity(), Clock()
    stage = SourceThrottleStage(identity, failures=5, seconds=60, clock=clock)
    await _fail(stage, 5)
    for _ in range(100):
        with pytest.raises(RateLimited):
            await _send(stage, b"another")
    assert identity.looked == 5


async def test_a_sender_that_waits_as_it_is_told_is_heard_again() -> None:
    """TH4, TH6."""
    clock = Clock()
    stage = SourceThrottleStage(Identity(), failures=5, seconds=60, clock=clock)
    await _fail(stage, 5)
    with pytest.raises(RateLimited) as refused:
        await _send(stage, b"good")
    assert refused.value.retry_after == 12
    clock.now += 12
    assert (await _send(stage, b"good")).status == 200


async def test_other_sources_and_requests_without_a_credential_are_not_touched() -> None:
    """TH4: a wrong key costs its sender, nobody else."""
    stage = SourceThrottleStage(Identity(), failures=3, clock=Clock())
    await _fail(stage, 3)
    assert (await _send(stage, b"good", "192.0.2.2")).status == 200
    assert (await _send(stage, None)).status == 200


async def test_one_ipv6_64_is_one_sender() -> None:
    """TH3, TH4."""
    stage = SourceThrottleStage(Identity(), failures=3, clock=Clock())
    for host in range(3):
        await _fail(stage, 1, f"2001:db8::{host + 1}")
    with pytest.raises(RateLimited):
        await _send(stage, b"good", "2001:db8::99")


async def test_a_credential_that_was_good_a_moment_ago_passes_beside_bad_ones() -> None:
    """TH4: a neighbour behind the same address is not shut out by the flood; once it fails it is as any other."""
    identity = Identity()
    stage = SourceThrottleStage(identity, failures=3, clock=Clock())
    assert (await _send(stage, b"good")).status == 200
    await _fail(stage, 3)
    assert (await _send(stage, b"good")).status == 200
    identity.good = b"changed"  # as a revocation does
    with pytest.raises(CredentialInvalid):
        await _send(stage, b"good")
    with pytest.raises(RateLimited):
        await _send(stage, b"good")


async def test_a_missing_credential_is_no_failure() -> None:
    async def misses(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise CredentialMissing

    stage = SourceThrottleStage(misses, failures=1, clock=Clock())
    for _ in range(5):
        with pytest.raises(CredentialMissing):
            await _send(stage, b"empty")


async def test_what_is_remembered_is_bounded() -> None:
    """TH4: 5,000 sources and as many good keys leave 100 of each, the newest."""
    identity = Identity()
    stage = SourceThrottleStage(identity, failures=1, remembered=100, clock=Clock())
    for number in range(5_000):
        await _fail(stage, 1, f"10.0.{number >> 8}.{number & 255}")
        identity.good = b"good %d" % number
        await _send(stage, identity.good, f"11.0.{number >> 8}.{number & 255}")
    assert len(stage._forgotten_at) == 100
    assert len(stage._good) == 100
    with pytest.raises(RateLimited):
        await _send(stage, b"bad", "10.0.19.135")


async def test_no_credential_is_kept() -> None:
    """SE2: neither a good nor a bad one can be read back from the stage."""
    stage = SourceThrottleStage(Identity(), failures=3, clock=Clock())
    await _send(stage, b"good")
    await _fail(stage, 2)
    assert all(isinstance(key, int) for key in stage._good)
    assert set(stage._forgotten_at) == {"192.0.2.1"}
