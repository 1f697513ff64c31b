"""The time of a sign-in and of a refresh, and whether it shows which addresses have an account (ID10).

One worker, idle otherwise, gets one request after another. Known and unknown addresses take turns, each request from a
source and for an account of its own, so that no limit delays any.
"""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

import httpx

from benchmarks.deployment import PLAN, Deployment, open_deployment, settings_of
from benchmarks.options import Options, log_progress
from benchmarks.population import open_control
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from gateway.services import build_services

_PASSWORD, _WRONG = "glacier walnut 42 umbrella", "another long passphrase"
_STORE_HASH = "UPDATE users SET password_hash = %(hash)s WHERE id = %(user)s"
_LARGEST_DIFFERENCE = 0.1  # of the medians, as a share
_MILLISECONDS = 1000
# Nothing is sent: jobs are not run.
_WITH_MAIL = {
    "TENANTRY_SMTP_HOST": "127.0.0.1",
    "TENANTRY_SMTP_TLS": "none",
    "TENANTRY_MAIL_FROM": "no-reply@bench.example",
    "TENANTRY_SIGN_UP_PLAN": PLAN,
}

Times = dict[str, list[float]]  # milliseconds


@dataclass(frozen=True, slots=True)
class _Client:
    """Sends each request from another address."""

    client: httpx.AsyncClient
    sources: Iterator[int]

    async def timed(self, path: str, expected: int, **body: Any) -> tuple[float, dict[str, Any]]:
        """The milliseconds of a request, and what it returned."""
        source = next(self.sources)
        headers = {"X-Forwarded-For": f"198.{18 + (source >> 16)}.{source >> 8 & 255}.{source & 255}"}
        began = time.perf_counter()
        answer = await self.client.post(f"/v1/auth/{path}", json=body, headers=headers)
        taken = (time.perf_counter() - began) * _MILLISECONDS
        if answer.status_code != expected:
            raise SystemExit(f"{path} returned {answer.status_code}: {answer.text}")
        return taken, answer.json()


def measure(options: Options) -> Report:
    """Measure sign-ins and refreshes, and every request that takes an address."""
    rounds = options.scale(120, 5)  # two wrong passwords each, of 300 that a tenant admits at once
    with open_deployment() as deployment:
        slug, known = _accounts(deployment, rounds)
        url = deployment.servers.gateway(1, **_WITH_MAIL).url
        log_progress(f"{rounds} rounds")
        good, alike = asyncio.run(_measure(url, slug, known))
    return Report([_good_table(good), _alike_table(alike)], _targets(alike))


def _accounts(deployment: Deployment, number: int) -> tuple[str, list[str]]:
    """The slug of a tenant, and the addresses of its members."""
    password_hash = asyncio.run(_hash(deployment))
    slug = "sign-in"
    tenant = UUID(deployment.add_tenant(slug).schema.removeprefix("t_"))  # with a schema: it has the audit log
    with open_control(deployment) as control:
        members = [control.add_member(tenant) for _ in range(number)]
        for user in members:
            control.execute(_STORE_HASH, hash=password_hash, user=user)
    return slug, [f"{user.hex}@example.com" for user in members]


async def _hash(deployment: Deployment) -> str:
    services = build_services(settings_of(deployment.environment))
    try:
        return await services.features.people.users.hash_password(_PASSWORD, "nobody@example.com")
    finally:
        services.features.passwords.close()


async def _measure(url: str, slug: str, known: list[str]) -> tuple[Times, dict[str, Times]]:
    good: Times = defaultdict(list)
    alike: dict[str, Times] = defaultdict(lambda: defaultdict(list))
    async with httpx.AsyncClient(base_url=url, timeout=30) as opened:
        client = _Client(opened, count())
        for number, email in enumerate(known):
            taken, grant = await client.timed("login", 200, email=email, password=_PASSWORD, tenant=slug)
            good["log in"].append(taken)
            taken, _ = await client.timed("refresh", 200, refresh_token=grant["refresh_token"])
            good["refresh"].append(taken)
            pair = (("known", email), ("unknown", f"stranger{number:027}@example.com"))
            for kind, address in pair if number % 2 else reversed(pair):
                for name, taken in (await _each(client, slug, f"{kind}-{number}", address)).items():
                    alike[name][kind].append(taken)
    return good, alike


async def _each(client: _Client, slug: str, new_slug: str, email: str) -> dict[str, float]:
    """The milliseconds of each request that names this address."""
    tenant = {"slug": new_slug, "name": "Benchmark"}
    wrong, _ = await client.timed("login", 401, email=email, password=_WRONG, tenant=slug)
    forgot, _ = await client.timed("password/forgot", 202, email=email)
    sign_up, _ = await client.timed("signup", 202, email=email, password=_PASSWORD, tenant=tenant)
    return {"log in with a wrong password": wrong, "ask for a new password": forgot, "sign up": sign_up}


def _quantile(taken: list[float], share: float) -> float:
    ordered = sorted(taken)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _good_table(good: Times) -> Table:
    columns = (Column("request"), Column("rounds", ","), *(Column(name, ".1f") for name in ("p50 ms", "p99 ms")))
    rows: list[list[Cell]] = [
        [name, len(taken), *(_quantile(taken, share) for share in (0.5, 0.99))] for name, taken in good.items()
    ]
    return Table("Sign-in with a password, and refresh, one after another", columns, rows)


def _alike_table(alike: dict[str, Times]) -> Table:
    columns = (
        Column("request"),
        Column("known address, median ms", ".2f"),
        Column("unknown address, median ms", ".2f"),
        Column("ratio", ".3f"),
    )
    rows: list[list[Cell]] = []
    for name, times in alike.items():
        known, unknown = (statistics.median(times[kind]) for kind in ("known", "unknown"))
        rows.append([name, known, unknown, known / unknown])
    return Table("Requests that name an address, with an account and without", columns, rows)


def _targets(alike: dict[str, Times]) -> list[Target]:
    differences = [
        abs(statistics.median(times["known"]) / statistics.median(times["unknown"]) - 1) for times in alike.values()
    ]
    figure = "median time, known address against unknown, largest difference"
    return [Target(figure, Bound.AT_MOST, _LARGEST_DIFFERENCE, max(differences))]
