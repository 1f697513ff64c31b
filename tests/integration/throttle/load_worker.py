"""One worker process under load: the real stage against the real Redis; records the moment of every admission.

Run as ``python -m tests.integration.throttle.load_worker <job.json>``; the job is a ``Job``. Writes two doubles for
each admission to ``<out>``: when the request began and when its admission was known, as moments of the system's
monotonic clock, the same for all processes. Writes the ends of those with a duration to ``<out>.ends``, a summary to
``<out>.json``.
"""

import asyncio
import json
import random
import struct
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from uuid import UUID

import structlog
import uvloop

from gateway.request.context import RequestContext
from gateway.throttle.errors import ConcurrencyLimited
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.errors import RateLimited
from tenants.identifiers import TenantId
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus, Window
from tests.asgi import end, http_scope, request_context, run_stage

PATIENT = 1.0  # seconds to wait for a Redis that is up: a busy machine is no outage

_MOMENT = struct.Struct("d")
_ADMISSION = struct.Struct("dd")


@dataclass(frozen=True, slots=True)
class Job:
    """The load on one worker."""

    out: str
    redis_url: str | None
    workers: int
    windows: list[tuple[str, int, int]]  # name, quota, seconds
    tenant: str
    seconds: float
    rate: float  # requests a second, Poisson; 0 is unlimited
    seed: int = 1
    deadline_seconds: float = PATIENT
    concurrency: int | None = None
    duration: float = 0.0  # seconds for which an admitted request is in flight


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits of a plan."""

    windows: tuple[Window, ...]
    concurrency: int | None = None


class Plans:
    """Looks up one plan, whatever its code."""

    def __init__(self, windows: tuple[Window, ...], concurrency: int | None = None) -> None:
        self.current = Plan(windows, concurrency)

    def plan(self, code: str) -> Plan:
        assert code
        return self.current


def principal(tenant: UUID, windows: tuple[Window, ...] = (), key: int = 1) -> Principal:
    """The principal of a key of that tenant, with these limits of its own."""
    name = f"t_{tenant.hex}"
    ref = TenantRef(TenantId(tenant), "load", TenantStatus.ACTIVE, name, name, "plan")
    own = tuple(replace(window, counter=UUID(int=key).hex) for window in windows)
    return Principal(PrincipalKind.API_KEY, UUID(int=key), ref, ("member",), windows=own)


class Load:
    """Sequential requests of one tenant through the stage."""

    def __init__(self, job: Job) -> None:
        windows = tuple(Window(*each) for each in job.windows)
        settings = ThrottleSettings(job.redis_url, job.workers, job.deadline_seconds)
        self.job = job
        self.start = 0.0
        self.limiter = RequestLimiter(settings)
        self.stage = ThrottleStage(self.limiter, Plans(windows, job.concurrency))
        self.principal = principal(UUID(job.tenant))
        self.admitted = 0
        self._out = Path(job.out).open("wb", buffering=0)  # noqa: SIM115 - at once: what is killed has written
        self.ends: list[float] = []
        self._running: set[asyncio.Task[None]] = set()
        self.refused = 0
        self.slowest = 0.0
        self._rng = random.Random(job.seed)  # noqa: S311 - arrivals, not secrets

    async def run(self) -> None:
        """Run the load."""
        await self.limiter.start()
        print("ready", flush=True)  # noqa: T201 - to the parent, which replies with the common start
        self.start = float(await asyncio.to_thread(sys.stdin.readline))
        await asyncio.sleep(max(0.0, self.start - monotonic()))
        end = self.start + self.job.seconds
        await (self._at_rate(end) if self.job.rate else self._flat_out(end))
        await asyncio.gather(*self._running)
        await self.limiter.close()

    async def request(self) -> bool:
        """One request; True when admitted."""
        request = request_context(http_scope())
        request.principal = self.principal
        began = monotonic()
        try:
            await run_stage(self.stage, request)
        except (RateLimited, ConcurrencyLimited):
            self.refused += 1
            return False
        finally:
            self.slowest = max(self.slowest, monotonic() - began)
        self._out.write(_ADMISSION.pack(began, monotonic()))
        self.admitted += 1
        if self.job.duration:
            running = asyncio.create_task(self._last(request))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        return True

    async def _last(self, request: RequestContext) -> None:
        await asyncio.sleep(self.job.duration)
        self.ends.append(monotonic())
        end(request)

    async def _flat_out(self, end: float) -> None:
        while monotonic() < end:
            admitted = await self.request()
            await asyncio.sleep(0 if admitted else 0.0005)

    async def _at_rate(self, end: float) -> None:
        due = self.start
        while (due := due + self._rng.expovariate(self.job.rate)) < end:
            if (early := due - monotonic()) > 0:
                await asyncio.sleep(early)
            await self.request()


def main() -> None:
    """Run the job of the file named on the command line."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    load = Load(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    uvloop.run(load.run())
    summary = {
        "admitted": load.admitted,
        "refused": load.refused,
        "slowest": load.slowest,
        "job": asdict(load.job),
    }
    Path(load.job.out + ".ends").write_bytes(b"".join(map(_MOMENT.pack, load.ends)))
    Path(load.job.out + ".json").write_text(json.dumps(summary), encoding="utf-8")


if __name__ == "__main__":
    main()
