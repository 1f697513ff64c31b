"""The targets of an upstream among which one is picked, and the rules by which they are ejected and return."""

import math
import random
from collections.abc import Callable, Mapping
from time import monotonic
from typing import NoReturn

import structlog

from gateway.proxy.targets.choice import Choice
from gateway.proxy.targets.errors import NoTarget
from gateway.proxy.targets.meters import UpstreamMeter
from gateway.proxy.targets.target import Breaker, Health, Target
from tenants.routes.schemas import UpstreamSpec

_LONGEST_EJECTION = 10  # times ``eject_seconds``
_RAMP_STEPS = 20  # of a slow start
_RAMP_LEAST = 0.1  # share of its weight that a target starts with
_ROUNDING = 1e-9
_NEVER, _ALWAYS = math.inf, -math.inf

_log = structlog.get_logger(__name__)


class Group:
    """Those of everybody, or those of one tenant. One object for each version that has changed the upstream.

    Targets are divided anew when one of them changes and at ``_wake``, the next moment at which time alone changes
    something: an ejection ends, a share grows. Between, a pick reads what is prepared.
    """

    def __init__(
        self,
        spec: UpstreamSpec,
        weights: Mapping[Target, int],
        meter: UpstreamMeter,
        *,
        clock: Callable[[], float] = monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.targets = tuple(weights)
        self._spec = spec
        self._weights = weights
        self._meter = meter
        self._clock = clock
        self._random = rand
        self._wake = _NEVER
        self._only: Target | None = None  # the answer of every pick, until something changes
        self._ready: Choice | None = None
        self._probes: tuple[Target, ...] = ()
        self._superseded = False

    def enter_force(self, *, established: bool) -> None:
        """Judge the targets from now on. New ones start slowly, if the upstream was in force before."""
        now = self._clock()
        for target in self.targets:
            if target.new and established and self._spec.outliers.slow_start:
                target.ramp_from = now
            if self._spec.health is None:
                target.health, target.next_check = Health.HEALTHY, None
            target.judging, target.new = self, False
        self._return_excess()
        self.refresh()

    def leave_force(self) -> None:
        """Another version judges the targets. Requests that were routed before still pick here; nothing is prepared."""
        self._superseded = True
        self.refresh()

    def pick(self) -> Target:
        """For the first attempt of a request. Raises NoTarget."""
        if self._only is not None:
            return self._only
        if self._wake <= self._clock():
            self.refresh()
        if self._probes:
            return self._probes[0]
        return self._ready() if self._ready else self._refuse()

    def pick_again(self, tried: tuple[Target, ...]) -> Target:
        """For a further attempt, in this order: a ready target that was not tried; a tried one that is not failing (its
        pooled connection was stale); an ejected one, since it may have returned; any other. Raises NoTarget.
        """
        if self._wake <= self._clock():
            self.refresh()
        ready = self._ready
        if ready is None:
            return self._of_ejected(tried) or self._refuse()
        return (
            self._choose(ready, lambda each: each not in tried)
            or self._choose(ready, lambda each: not each.failures)
            or self._of_ejected(tried)
            or ready()
        )

    def set_health(self, target: Target, health: Health) -> None:
        """The verdict of the active checks."""
        if target.health is health:
            return
        if target.health is Health.UNHEALTHY or target.ramp_from is not None:  # it returns, or waited for its check
            self._start_slowly(target)
        target.health = health
        _log.info("upstream_target_health", upstream=self._spec.name, target=target.name, health=health.value)
        self.refresh()

    def failed(self, target: Target) -> None:
        """Count a failure in a row; eject the target when there are too many, and others are left."""
        outliers = self._spec.outliers
        if target.failures < outliers.failures or not target.usable:
            return
        if not any(each.usable for each in self.targets if each is not target):
            self._end_ejections()
        elif len(self._out()) < self._most_out():
            self._eject(target)

    def probe_began(self, target: Target) -> None:
        """No other request until its verdict, or until that is overdue."""
        times = self._spec.timeouts
        target.probe_until = self._clock() + times.connect + times.first_byte
        self.refresh()

    def probed(self, target: Target, *, passed: bool | None) -> None:
        """Close the breaker, open it again for longer, or wait for another probe."""
        if passed:
            self._close(target)
        elif passed is False:
            self._eject(target)
        self.refresh()

    def refresh(self) -> None:
        """Divide the targets into those that are ready, those that wait for a probe, and the others."""
        now = self._clock()
        for target in self.targets:
            self._advance(target, now)
        ready = self._find_ready()
        self._probes = tuple(each for each in self.targets if _wants_probe(each))
        weights = [self._weight(each, now) for each in ready]
        self._ready = Choice(ready, weights, self._random) if ready else None
        self._wake = _ALWAYS if self._superseded else min(self._changes_at(each, now) for each in self.targets)
        self._only = ready[0] if len(ready) == 1 and not self._probes and self._wake == _NEVER else None

    def weight(self, target: Target) -> float:
        """That counts now: less than the configured one in a slow start."""
        return self._weight(target, self._clock())

    def retry_after(self) -> int | None:
        """Seconds until a target can have passed its checks or may be probed, if it is known when."""
        times = [time for each in self.targets if (time := self._usable_at(each)) is not None]
        return max(1, math.ceil(min(times) - self._clock())) if times else None

    def _usable_at(self, target: Target) -> float | None:
        ejected_until = target.ejected_until if target.breaker is Breaker.OPEN else 0.0
        if target.health is not Health.UNHEALTHY:
            return ejected_until
        if target.next_check is None or self._spec.health is None:
            return None
        further = (self._spec.health.healthy_after - 1) * self._spec.health.interval
        return max(ejected_until, target.next_check + further)

    def _out(self) -> list[Target]:
        """The ejected ones; first the one that returns first."""
        out = [each for each in self.targets if each.breaker is not Breaker.CLOSED]
        return sorted(out, key=lambda each: each.ejected_until)

    def _most_out(self) -> int:
        return int(self._spec.outliers.most_ejected * len(self.targets) + _ROUNDING)

    def _end_ejections(self) -> None:
        """The last target fails as well, so an ejected one may have become the better: probe them now.

        Otherwise a rolling restart ends with the first server ejected, and all requests going to the second, dead one.
        """
        for target in self._out():
            if target.breaker is Breaker.OPEN:
                target.ejected_until = self._clock()
                target.ejections -= 1  # if it fails its probe, the next ejection is as long as this one
        self.refresh()

    def _choose(self, ready: Choice, admits: Callable[[Target], bool]) -> Target | None:
        found = [index for index, each in enumerate(ready.targets) if admits(each)]
        if not found:
            return None
        return Choice([ready.targets[i] for i in found], [ready.weights[i] for i in found], self._random)()

    def _of_ejected(self, tried: tuple[Target, ...]) -> Target | None:
        """One that was not tried; its ejection ends, so that this request is its probe if it has none."""
        for target in self._out():
            if target.health is not Health.UNHEALTHY and target not in tried:
                target.breaker = Breaker.HALF_OPEN
                return target
        return None

    def _return_excess(self) -> None:
        """A new version may have fewer targets, or allow less."""
        out = self._out()
        for target in out[: max(0, len(out) - self._most_out())]:
            self._close(target)

    def _find_ready(self) -> list[Target]:
        usable = [each for each in self.targets if each.usable]
        if not usable and (restored := self._restore()):
            usable = [restored]
        return [each for each in usable if each.health is Health.HEALTHY] or usable

    def _restore(self) -> Target | None:
        """Ejections leave one: when checks have taken the last other one, the earliest to return does so now."""
        first = next((each for each in self._out() if each.health is not Health.UNHEALTHY), None)
        if first is not None and not self._superseded:
            self._close(first)
        return first

    def _eject(self, target: Target) -> None:
        now = self._clock()
        if target.breaker is Breaker.CLOSED and now - target.closed_at > target.eject_seconds:  # well for as long
            target.ejections = 0
        target.ejections = min(target.ejections + 1, _LONGEST_EJECTION)
        target.eject_seconds = self._spec.outliers.eject_seconds * target.ejections
        target.ejected_until = now + target.eject_seconds
        target.breaker, target.unsettled = Breaker.OPEN, True
        self._meter.ejections += 1
        _log.warning(
            "upstream_target_ejected", upstream=self._spec.name, target=target.name, seconds=target.eject_seconds
        )
        self.refresh()

    def _close(self, target: Target) -> None:
        target.breaker, target.failures, target.unsettled, target.probe = Breaker.CLOSED, 0, False, None
        target.closed_at = self._clock()
        self._start_slowly(target)
        _log.info("upstream_target_returned", upstream=self._spec.name, target=target.name)

    def _start_slowly(self, target: Target) -> None:
        target.ramp_from = self._clock() if self._spec.outliers.slow_start else None

    def _advance(self, target: Target, now: float) -> None:
        """What time alone changes."""
        if target.breaker is Breaker.OPEN and target.ejected_until <= now:
            target.breaker = Breaker.HALF_OPEN
        if target.probe is not None and target.probe_until <= now:
            target.probe = None
        if target.ramp_from is not None and target.ramp_from + self._spec.outliers.slow_start <= now:
            target.ramp_from = None

    def _weight(self, target: Target, now: float) -> float:
        weight = float(self._weights[target])
        if target.ramp_from is None:
            return weight
        share = (now - target.ramp_from) / self._spec.outliers.slow_start
        return weight * max(_RAMP_LEAST, min(1.0, share))

    def _changes_at(self, target: Target, now: float) -> float:
        if target.breaker is Breaker.OPEN:
            return target.ejected_until
        if target.breaker is Breaker.HALF_OPEN:
            return target.probe_until if target.probe is not None else _NEVER
        if target.ramp_from is None:
            return _NEVER
        return now + self._spec.outliers.slow_start / _RAMP_STEPS

    def _refuse(self) -> NoReturn:
        self._meter.without_target += 1
        raise NoTarget(detail=f"upstream {self._spec.name}", retry_after=self.retry_after())


def _wants_probe(target: Target) -> bool:
    return target.breaker is Breaker.HALF_OPEN and target.probe is None and target.health is not Health.UNHEALTHY
