"""One target of an upstream, as one worker sees it: its connections, health and breaker."""

from enum import StrEnum
from typing import Protocol

from gateway.proxy.client.dialing import Dialer
from gateway.proxy.client.pool import ConnectionPool
from gateway.proxy.client.settings import ConnectionSettings, TargetAddress
from gateway.proxy.targets.meters import RouteMeter
from gateway.proxy.targets.outcomes import LAST_FAILURE, Outcome
from tenants.routes.schemas import TargetSpec, UpstreamSpec


class Health(StrEnum):
    """What the active checks say."""

    UNCHECKED = "unchecked"  # no verdict yet: used only while no target is healthy
    HEALTHY = "healthy"  # also without checks
    UNHEALTHY = "unhealthy"


class Breaker(StrEnum):
    """What the requests say."""

    CLOSED = "closed"
    OPEN = "open"  # ejected: no request
    HALF_OPEN = "half_open"  # one request, the probe, decides


class TargetState(StrEnum):
    """Both in one word, for those who look at a target from outside."""

    READY = "ready"
    UNCHECKED = "unchecked"
    UNHEALTHY = "unhealthy"
    EJECTED = "ejected"
    HALF_OPEN = "half_open"


class Judge(Protocol):
    """Decides what follows from the results of requests: the group of the newest version (``group.py``)."""

    def failed(self, target: "Target") -> None:
        """A request to a target with a closed breaker has failed."""

    def probed(self, target: "Target", *, passed: bool | None) -> None:
        """The probe has ended; None without a verdict."""

    def probe_began(self, target: "Target") -> None:
        """The breaker is half open, and its probe is under way."""


class Attempt:
    """One request that is sent to a target, from ``Target.began`` on. Its first ``ended`` counts, others do nothing."""

    __slots__ = ("_meter", "_target")

    def __init__(self, target: "Target", meter: RouteMeter) -> None:
        self._target: Target | None = target
        self._meter = meter

    def answered(self) -> None:
        """The head of a good response has come, and its body may take long: the target counts as well already."""
        if self._target is not None:
            self._target.judge(self, Outcome.OK)

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """The response is complete, or will not be. To be called in any case, such as in ``finally``."""
        target = self._target
        if target is None:
            return
        self._target = None
        target.outstanding -= 1
        self._meter.count(outcome, seconds)
        if outcome or target.unsettled:
            target.judge(self, outcome)


class Target:
    """Lives as long as some version of the configuration has it with the same settings for connections."""

    def __init__(self, spec: TargetSpec, settings: ConnectionSettings, dialer: Dialer, *, checked: bool) -> None:
        """``checked``: active checks will say whether it is healthy. Connects to nothing."""
        self.name = spec.url
        self.address = TargetAddress.parse(spec.url)
        self.authority = self.address.authority.encode()
        self.settings = settings
        self.pool = ConnectionPool(self.address, settings, dialer)
        self.judging: Judge | None = None  # from the moment on at which its version is in force
        self.new = True  # no request can have been sent to it yet
        self.requests = 0  # since the start of the worker
        self.outstanding = 0
        self.health = Health.UNCHECKED if checked else Health.HEALTHY
        self.next_check: float | None = None  # when the next active check is due
        self.breaker = Breaker.CLOSED
        self.unsettled = False  # failures, or a breaker that is not closed: the next success changes something
        self.failures = 0  # in a row
        self.ejections = 0  # in a row
        self.eject_seconds = 0.0  # how long the last ejection was meant to last
        self.ejected_until = 0.0
        self.closed_at = 0.0  # when the breaker was last closed
        self.probe: Attempt | None = None
        self.probe_until = 0.0  # when its verdict is no longer waited for
        self.ramp_from: float | None = None  # start of its slow start

    def continue_from(self, former: "Target") -> None:
        """Take over what is known: the same target, with other settings for its connections."""
        self.new, self.requests = False, former.requests
        self.health, self.ramp_from = former.health, former.ramp_from
        self.breaker, self.unsettled, self.failures = former.breaker, former.unsettled, former.failures
        self.ejections, self.eject_seconds = former.ejections, former.eject_seconds
        self.ejected_until, self.closed_at = former.ejected_until, former.closed_at

    @property
    def usable(self) -> bool:
        """Whether requests may be sent to it, beside a probe."""
        return self.breaker is Breaker.CLOSED and self.health is not Health.UNHEALTHY

    @property
    def state(self) -> TargetState:
        """As seen from outside."""
        if self.health is Health.UNHEALTHY:
            return TargetState.UNHEALTHY
        if self.breaker is not Breaker.CLOSED:
            return TargetState.EJECTED if self.breaker is Breaker.OPEN else TargetState.HALF_OPEN
        return TargetState.READY if self.health is Health.HEALTHY else TargetState.UNCHECKED

    def began(self, meter: RouteMeter) -> Attempt:
        """A request is going to be sent; no ``await`` may lie between ``pick`` and this. ``ended`` must follow."""
        attempt = Attempt(self, meter)
        self.outstanding += 1
        self.requests += 1
        if self.breaker is Breaker.HALF_OPEN and self.probe is None and self.judging is not None:
            self.probe = attempt
            self.judging.probe_began(self)
        return attempt

    def judge(self, attempt: Attempt, outcome: Outcome) -> None:
        """The result of a request. While the breaker is not closed only the probe counts: others began earlier."""
        judging = self.judging
        if judging is None:
            return
        if self.probe is attempt:
            self.probe = None
            judging.probed(self, passed=None if outcome > LAST_FAILURE else outcome is Outcome.OK)
        elif self.breaker is not Breaker.CLOSED or outcome > LAST_FAILURE:
            return
        elif outcome is Outcome.OK:
            self.failures, self.unsettled = 0, False
        else:
            self.failures, self.unsettled = self.failures + 1, True
            judging.failed(self)


def target_settings(spec: UpstreamSpec, *, of_tenant: bool) -> ConnectionSettings:
    """The private-address filter applies to targets that a tenant may have given, and where the upstream says so."""
    return ConnectionSettings.of(spec, public_only=of_tenant or not spec.private)
