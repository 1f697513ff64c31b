"""Milliseconds from a key's revocation to its refusal on every worker: ``python -m benchmarks.revocation``.

Each round makes a key, warms it on two worker processes, revokes it through the first, and asks both without a pause
until both refuse. Counted from the moment at which the revocation was answered; a refusal before that counts as 0.
"""

import argparse
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from rich.console import Console
from rich.progress import track

from benchmarks.stand import open_stand

_REFUSED = 401
_GIVE_UP = 10.0  # seconds


def main() -> None:
    """Run the rounds, print p50, p99 and max."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    options = parser.parse_args()
    with open_stand() as stand, ThreadPoolExecutor(2) as pollers:
        workers = [httpx.Client(base_url=stand.serve("gateway.app:create_app")[0]) for _ in range(2)]
        manager = httpx.Client(base_url=workers[0].base_url, headers={"X-API-Key": stand.api_key})
        delays = [_round(manager, workers, pollers) for _ in track(range(options.rounds), "revoking")]
    delays.sort()
    shown = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    figures = (
        f"{name} {delays[min(len(delays) - 1, int(at * len(delays)))] * 1000:.1f} ms" for name, at in shown.items()
    )
    Console().print(f"revocation to refusal on two workers, {len(delays)} rounds: {', '.join(figures)}")


def _round(manager: httpx.Client, workers: Sequence[httpx.Client], pollers: ThreadPoolExecutor) -> float:
    made = manager.post("/v1/api-keys", json={"name": "to be revoked", "role": "viewer"}).raise_for_status().json()
    headers = {"X-API-Key": made["secret"]}
    for worker in workers:
        worker.get("/v1/me", headers=headers).raise_for_status()
    begun = threading.Barrier(len(workers) + 1)
    refusals = [pollers.submit(_first_refusal, worker, headers, begun) for worker in workers]
    begun.wait()
    manager.post(f"/v1/api-keys/{made['id']}/revoke").raise_for_status()
    answered = time.perf_counter()
    return max(0.0, max(refusal.result() for refusal in refusals) - answered)


def _first_refusal(worker: httpx.Client, headers: dict[str, str], begun: threading.Barrier) -> float:
    begun.wait()
    started = time.perf_counter()
    while time.perf_counter() - started < _GIVE_UP:
        if worker.get("/v1/me", headers=headers).status_code == _REFUSED:
            return time.perf_counter()
    raise SystemExit("a revoked key was still accepted after 10 s")


if __name__ == "__main__":
    main()
