"""Active health checks: each worker asks each target of an upstream with a ``health`` part, in its interval.

Workers do not share verdicts, so that a worker that cannot reach a target does not depend on one that can. A target
gets ``workers / interval`` checks a second, from all hosts together.
"""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import replace
from time import monotonic

import structlog

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.dialing import Dialer
from gateway.proxy.client.errors import UpstreamFailed
from gateway.proxy.client.pool import ConnectionPool
from gateway.proxy.targets.group import Group
from gateway.proxy.targets.meters import UpstreamMeter
from gateway.proxy.targets.target import Health, Target
from gateway.proxy.targets.upstream import Upstream
from tenants.routes.schemas import HealthSpec

_JITTER = 0.1  # share of the interval by which a check comes sooner or later: workers do not check in step
_FIRST = 0.02  # share of the interval in which the first check comes
_MOST_BODY = 65_536  # bytes

_log = structlog.get_logger(__name__)


class TargetCheck:
    """The checks of one target, and its verdict: so many results in a row against the present one."""

    def __init__(self, target: Target, spec: HealthSpec, counters: UpstreamMeter, dialer: Dialer) -> None:
        self.spec = spec
        self.group: Group | None = None  # of the newest version
        self._target = target
        self._counters = counters
        self._in_a_row = 0  # results that differ from the verdict
        self._head = (
            f"GET {spec.path} HTTP/1.1\r\nhost: {target.address.authority}\r\n"
            "user-agent: tenantry-health-check\r\naccept: */*\r\nconnection: close\r\n\r\n"
        ).encode()
        # Connections of their own: a target whose pool is full of slow requests is not down.
        settings = replace(target.settings, connections=1, connect=spec.timeout, first_byte=spec.timeout)
        self._pool = ConnectionPool(target.address, settings, dialer)

    async def run(self) -> None:
        """Check until cancelled."""
        pause = random.uniform(0, _FIRST)  # noqa: S311 - spreads load
        try:
            while True:
                pause *= self.spec.interval
                self._target.next_check = monotonic() + pause
                await asyncio.sleep(pause)
                self.count(passed=await self.passes())
                pause = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load
        finally:
            self._target.next_check = None
            await self._pool.close()

    async def passes(self) -> bool:
        """One check: a complete answer with one of the statuses, in time."""
        connection: UpstreamConnection | None = None
        try:
            async with asyncio.timeout(self.spec.timeout):
                connection = await self._pool.connect()
                return await self._answers(connection)
        except (UpstreamFailed, TimeoutError):
            return False
        except Exception:  # noqa: BLE001 - the checks of the target must go on
            _log.exception("upstream_check_error", target=self._target.name)
            return False
        finally:
            if connection is not None:
                connection.abort()

    def count(self, *, passed: bool) -> None:
        """Add a result. The first success of a new target is enough."""
        if passed:
            self._counters.checks_passed += 1
        else:
            self._counters.checks_failed += 1
        health = self._target.health
        if self.group is None or health is (Health.HEALTHY if passed else Health.UNHEALTHY):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if passed and (health is Health.UNCHECKED or self._in_a_row >= self.spec.healthy_after):
            self._decide(self.group, Health.HEALTHY)
        elif not passed and self._in_a_row >= self.spec.unhealthy_after:
            self._decide(self.group, Health.UNHEALTHY)

    def _decide(self, group: Group, health: Health) -> None:
        self._in_a_row = 0
        group.set_health(self._target, health)

    async def _answers(self, connection: UpstreamConnection) -> bool:
        connection.send(self._head, method="GET")
        head = await connection.head()
        size, ended = len(head.body), head.complete
        while not ended and size < _MOST_BODY:
            part = await connection.read()
            size, ended = size + len(part), not part
        return head.status in self.spec.statuses


class HealthChecks:
    """The checks of all upstreams in force."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._checks: dict[Target, TargetCheck] = {}
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._started = False

    def replace(self, upstreams: Iterable[Upstream]) -> None:
        """Check the targets of these. Checks that stay the same go on."""
        former, self._checks = self._checks, {}
        for upstream in upstreams:
            spec = upstream.spec.health
            if spec is None:
                continue
            for group in upstream.groups():
                for target in group.targets:
                    self._checks[target] = self._check(former.get(target), target, spec, upstream.counters, group)
        for target, check in former.items():
            if self._checks.get(target) is not check:
                self._end(target)
        if self._started:
            self.start()

    def start(self) -> None:
        """Begin with those that have not begun."""
        self._started = True
        for target, check in self._checks.items():
            if target not in self._tasks:
                self._tasks[target] = asyncio.get_running_loop().create_task(check.run(), name="upstream-check")

    async def close(self) -> None:
        """End all checks."""
        for target in list(self._tasks):
            self._end(target)
        if self._ended:
            await asyncio.wait(self._ended)

    def _check(
        self, former: TargetCheck | None, target: Target, spec: HealthSpec, counters: UpstreamMeter, group: Group
    ) -> TargetCheck:
        check = (
            former if former is not None and former.spec == spec else TargetCheck(target, spec, counters, self._dialer)
        )
        check.group = group
        return check

    def _end(self, target: Target) -> None:
        task = self._tasks.pop(target, None)
        if task is not None:
            task.cancel()
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
