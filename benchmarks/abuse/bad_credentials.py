"""One revoked key in a loop: how many good credentials of the same address are refused.

Behind one address that no trusted proxy explains, such as an office, all share what its failures cost.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import httpx

from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import PLAN
from benchmarks.population import ControlTables, open_control, open_tokens
from tenants.identifiers import TenantId, UserId

_RATE = 50  # requests with the revoked key in a second
_GOOD = 20  # keys, and as many tokens: each is sent once, so that its worker has not seen it
_LEAD_IN = 6.0  # seconds: more than twice a hundred failures for each worker
_PAUSE = 0.2  # seconds between good credentials
_SOURCE = {"X-Forwarded-For": "198.51.100.1"}
_END_KEYS = "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = %(tenant)s"


def measure(target: Target) -> list[Finding]:
    """Share of good credentials that are refused, while the loop runs."""
    with open_control(target.deployment) as control:
        bad, good = _revoked_key(control), _good_credentials(target, control)
        refused = asyncio.run(_refused(target.url, bad, good, target.options.scale(_LEAD_IN, 1.0)))
    return [
        Finding(f"good credentials refused beside one revoked key at {_RATE}/s, share", refused / len(good)),
    ]


def _revoked_key(control: ControlTables) -> str:
    (tenant,) = control.add_tenants(1, PLAN)
    (key,) = control.add_keys([tenant], 1)
    control.execute(_END_KEYS, tenant=tenant)
    return key


def _good_credentials(target: Target, control: ControlTables) -> list[str]:
    tenants = control.add_tenants(1, PLAN)
    keys = control.add_keys(tenants, _GOOD)
    user = UserId(control.add_member(tenants[0]))
    with open_tokens(target.deployment) as tokens:
        issued = [tokens.issue(user, TenantId(tenants[0]), UUID(int=0)) for _ in range(_GOOD)]
    return [each for pair in zip(keys, issued, strict=True) for each in pair]


async def _refused(url: str, bad: str, good: Sequence[str], lead_in: float) -> int:
    async with httpx.AsyncClient(base_url=url, headers=_SOURCE, timeout=10) as client:
        with _looping(client, bad):
            await asyncio.sleep(lead_in)
            refused = 0
            for each in good:
                refused += (await _ask(client, each)) != httpx.codes.OK
                await asyncio.sleep(_PAUSE)
            return refused


@contextmanager
def _looping(client: httpx.AsyncClient, credential: str) -> Iterator[None]:
    async def loop() -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(_ask(client, credential))
                await asyncio.sleep(1 / _RATE)

    running = asyncio.create_task(loop())
    try:
        yield
    finally:
        running.cancel()


async def _ask(client: httpx.AsyncClient, credential: str) -> int:
    return (await client.get("/v1/me", headers={"Authorization": f"Bearer {credential}"})).status_code
