"""A leaked key floods its tenant's plan: how long the admin's request to revoke it is refused."""

import time
from collections.abc import Iterator
from multiprocessing.pool import Pool

import httpx

from benchmarks.abuse.target import Finding, Target
from benchmarks.workloads import PacedLoad, load_processes
from billing.plans.schemas import PlanSpec, WindowSpec
from gateway.development.load import request_bytes

_RATES = (40, 100)  # requests a second of the leaked key
_LEAD_IN = 2.0  # seconds until the plan is used up
_LONGEST = 15.0  # seconds of trying: a longer wait is reported as this
_PAUSE = 0.25  # seconds between two attempts of the admin
_NO_CONTENT, _REFUSED = 204, 429


def measure(target: Target) -> list[Finding]:
    """Seconds until the revocation succeeds, at each rate of the flood."""
    with load_processes(1) as load_pool:
        return [
            Finding(f"s until an admin revokes a key that floods at {rate}/s, most {_LONGEST:.0f}", seconds)
            for rate, seconds in _seconds(target, load_pool)
        ]


def _seconds(target: Target, load_pool: Pool) -> Iterator[tuple[int, float]]:
    windows = [WindowSpec(name="burst", quota=10, window_seconds=1)]
    windows.append(WindowSpec(name="sustained", quota=120, window_seconds=60))
    for rate in _RATES:
        plan = PlanSpec(code=f"flooded-{rate}", name="Flooded", rank=500 + rate, windows=windows)
        admin = target.add_tenant(f"flooded-{rate}", plan).headers
        with httpx.Client(base_url=target.url, headers=admin, trust_env=False) as client:
            made = _make_key(client)
            flood = [request_bytes(f"{target.url}/v1/contacts?limit=1", {"X-API-Key": made["secret"]})]
            running = load_pool.apply_async(PacedLoad([target.url], flood, rate, _LEAD_IN + _LONGEST).run)
            time.sleep(_LEAD_IN)
            yield rate, _until_revoked(client, made["id"])
            running.get()


def _make_key(client: httpx.Client) -> dict[str, str]:
    """The key that will leak. A fresh worker may refuse its first requests until it has Redis and the new plan."""
    while (reply := client.post("/v1/api-keys", json={"name": "leaked", "role": "member"})).status_code == _REFUSED:
        time.sleep(_PAUSE)
    made: dict[str, str] = reply.raise_for_status().json()
    return made


def _until_revoked(client: httpx.Client, key: str) -> float:
    started = time.perf_counter()
    while client.post(f"/v1/api-keys/{key}/revoke").status_code != _NO_CONTENT:
        if time.perf_counter() - started > _LONGEST:
            return _LONGEST
        time.sleep(_PAUSE)
    return time.perf_counter() - started
