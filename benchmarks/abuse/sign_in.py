"""Guessing passwords: how many one account admits, and whether and when a good sign-in succeeds beside many others."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from uuid import UUID

import httpx

from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import PLAN, settings_of
from benchmarks.population import ControlTables, open_control
from gateway.services import build_services

_SOURCES = 600  # one wrong password each
_AT_ONCE = 20
_SECONDS = 15.0  # at most, for all of them
_PARALLEL = 100
_TIMES = 3
_FLOOD_AT_ONCE = 200  # wrong passwords, each of a new source for a new tenant
_FLOOD_SECONDS, _LEAD_IN, _EACH = 8.0, 2.0, 0.5
_PASSWORD, _WRONG = "glacier walnut 42 umbrella", "another long passphrase"
_HOME = "198.51.100.2"
_STORE_HASH = "UPDATE users SET password_hash = %(hash)s WHERE id = %(user)s"


@dataclass(frozen=True, slots=True)
class _Account:
    email: str
    slug: str


def measure(target: Target) -> list[Finding]:
    """Wrong passwords admitted for one account, and the longest wait of a good sign-in in two floods."""
    password_hash = asyncio.run(_hash(target))
    with open_control(target.deployment) as control:
        owner, victim = (_add_account(control, target, slug, password_hash) for slug in ("owner", "victim"))
    return asyncio.run(_measure(target, owner, victim))


async def _hash(target: Target) -> str:
    services = build_services(settings_of(target.deployment.environment))
    try:
        return await services.features.people.users.hash_password(_PASSWORD, "nobody@example.com")
    finally:
        services.features.passwords.close()


def _add_account(control: ControlTables, target: Target, slug: str, password_hash: str) -> _Account:
    tenant = target.add_tenant(slug, PLAN)  # with a schema: a sign-in is audited
    user = control.add_member(UUID(tenant.schema.removeprefix("t_")))
    control.execute(_STORE_HASH, hash=password_hash, user=user)
    return _Account(f"{user.hex}@example.com", target.own(slug))


async def _measure(target: Target, owner: _Account, victim: _Account) -> list[Finding]:
    parallel, times = target.options.scale(_PARALLEL, 10), target.options.scale(_TIMES, 1)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=target.url, timeout=30, limits=limits) as client:
        admitted = await _admitted(client, victim, target.options.scale(_SECONDS, 2.0))
        await _sign_in(client, owner, _HOME, _PASSWORD)  # its usual place
        one = [f"198.51.100.{3 + number}" for number in range(times)]
        waits = (
            [await _wait(client, owner, [source] * parallel) for source in one],
            [
                await _wait(client, owner, [f"203.{number}.0.{each}" for each in range(parallel)])
                for number in range(times)
            ],
        )
        in_flood = await _in_flood(client, owner, target.options.scale(_FLOOD_SECONDS, 1.0))
    return [
        Finding(f"wrong passwords admitted for one account, {_SOURCES} sources", admitted),
        Finding(f"wait of a good sign-in beside {_PARALLEL} parallel ones of one source, s", max(waits[0])),
        Finding(f"wait of a good sign-in beside {_PARALLEL} parallel ones of as many sources, s", max(waits[1])),
        Finding("good sign-ins refused in a flood of new sources, %", 100 * in_flood.count(None) / len(in_flood)),
        Finding("their longest wait, s", max((each for each in in_flood if each is not None), default=math.nan)),
    ]


async def _admitted(client: httpx.AsyncClient, victim: _Account, seconds: float) -> int:
    sources = [f"192.0.{number >> 8}.{number & 255}" for number in range(_SOURCES)]
    answers: list[int] = []
    ends = time.monotonic() + seconds
    for at in range(0, _SOURCES, _AT_ONCE):
        if time.monotonic() > ends:
            break
        group = sources[at : at + _AT_ONCE]
        answers += await asyncio.gather(*(_sign_in(client, victim, source, _WRONG) for source in group))
    return answers.count(httpx.codes.UNAUTHORIZED)


async def _wait(client: httpx.AsyncClient, owner: _Account, sources: Sequence[str]) -> float:
    """Seconds of a good sign-in that begins while all of these are waiting; each is for another account."""
    strangers = [_Account(f"stranger{number}@example.com", owner.slug) for number in range(len(sources))]
    flood = [
        asyncio.create_task(_sign_in(client, account, source, _WRONG))
        for account, source in zip(strangers, sources, strict=True)
    ]
    await asyncio.sleep(0.2)
    began = time.perf_counter()
    if await _sign_in(client, owner, _HOME, _PASSWORD) != httpx.codes.OK:
        raise SystemExit("a good sign-in was refused")
    taken = time.perf_counter() - began
    await asyncio.gather(*flood)
    return taken


async def _in_flood(client: httpx.AsyncClient, owner: _Account, seconds: float) -> list[float | None]:
    """Seconds of good sign-ins at a usual place, one each half second; None for one that was refused."""
    numbers, ends = count(), time.monotonic() + _LEAD_IN + seconds

    async def flood() -> None:
        while time.monotonic() < ends:
            number = next(numbers)
            source = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            await _sign_in(client, _Account("a@example.com", f"unknown-{number}"), source, _WRONG)

    async def good() -> float | None:
        began = time.perf_counter()
        status = await _sign_in(client, owner, _HOME, _PASSWORD)
        return time.perf_counter() - began if status == httpx.codes.OK else None

    flooding = [asyncio.create_task(flood()) for _ in range(_FLOOD_AT_ONCE)]
    await asyncio.sleep(_LEAD_IN)
    tried: list[asyncio.Task[float | None]] = []
    while time.monotonic() < ends:
        tried.append(asyncio.create_task(good()))
        await asyncio.sleep(_EACH)
    await asyncio.gather(*flooding)
    return await asyncio.gather(*tried)


async def _sign_in(client: httpx.AsyncClient, account: _Account, source: str, password: str) -> int:
    body = {"email": account.email, "password": password, "tenant": account.slug}
    return (await client.post("/v1/auth/login", json=body, headers={"X-Forwarded-For": source})).status_code
