"""All upstreams of a worker, over all versions of the configuration."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from types import MappingProxyType

from gateway.metrics.metric import Sample
from gateway.proxy.client.dialing import Dialer
from gateway.proxy.targets.checks import HealthChecks
from gateway.proxy.targets.group import Group
from gateway.proxy.targets.meters import UpstreamMeter
from gateway.proxy.targets.samples import UpstreamSampler
from gateway.proxy.targets.target import Target, target_settings
from gateway.proxy.targets.upstream import Upstream
from tenants.routes.schemas import MOST_UPSTREAMS, TargetSpec, UpstreamSpec

_TICK = 1.0  # seconds
_GRACE = 60.0  # seconds in which requests that were routed by an earlier version may still pick a removed target
_MOST_COUNTED = 4 * MOST_UPSTREAMS  # names that one process counts

_Key = tuple[str | None, str, int]  # tenant, URL, and which of several with that URL


class Upstreams(Mapping[str, Upstream]):
    """The upstreams in force, by name. One object per worker; owns ``dialer``."""

    def __init__(
        self,
        dialer: Dialer | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        rand: Callable[[], float] = random.random,
        grace: float = _GRACE,
    ) -> None:
        self._dialer = dialer or Dialer()
        self._clock = clock
        self._random = rand
        self._grace = grace
        self._current: Mapping[str, Upstream] = MappingProxyType({})
        self._counters: dict[str, UpstreamMeter] = {}  # also of upstreams that were removed: counters never decrease
        self._sampler = UpstreamSampler(self._counters)
        self._checks = HealthChecks(self._dialer)
        self._removed: dict[Target, float] = {}  # when the pool may be closed, if no request is in flight
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def __getitem__(self, name: str) -> Upstream:
        return self._current[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)

    async def load(self, specs: Iterable[UpstreamSpec]) -> Mapping[str, Upstream]:
        """As ``apply``, while other tasks run: thousands of targets take longer than one may hold the loop (LD1)."""
        upstreams: dict[str, Upstream] = {}
        for spec in specs:
            upstreams[spec.name] = self._make(spec)
            await asyncio.sleep(0)
        return self._put(upstreams)

    def apply(self, specs: Iterable[UpstreamSpec]) -> Mapping[str, Upstream]:
        """Put these in force, at once, and return them by name.

        An upstream that has not changed stays the same object. One that has changed is another, with the targets that
        both have: who has the former one, such as a request that was routed before, still uses the targets of before.
        Pools of targets that are gone are closed when their requests have ended. Connects to nothing.
        """
        return self._put({spec.name: self._make(spec) for spec in specs})

    def samples(self) -> Iterator[Sample]:
        """For the metrics, once a second."""
        return self._sampler.samples(self._current)

    async def start(self) -> None:
        """Begin with active checks, and with what is done once a second."""
        self._checks.start()
        self._tick()

    async def close(self) -> None:
        """End the checks and all connections."""
        if self._timer is not None:
            self._timer.cancel()
        await self._checks.close()
        targets = [*self._removed, *(target for upstream in self.values() for target in upstream.targets())]
        await asyncio.gather(*self._closing, *(target.pool.close() for target in targets))
        await self._dialer.close()

    def _put(self, upstreams: dict[str, Upstream]) -> Mapping[str, Upstream]:
        former = self._current
        self._current = MappingProxyType(upstreams)
        staying = {target for upstream in upstreams.values() for target in upstream.targets()}
        for old in former.values():
            if upstreams.get(old.name) is not old:
                self._retire(old, staying)
        for new in upstreams.values():
            if former.get(new.name) is not new:
                new.budget.share = new.spec.retry_budget
                for group in new.groups():
                    group.enter_force(established=new.name in former)
        self._checks.replace(upstreams.values())
        if len(self._counters) > _MOST_COUNTED:
            for name in self._counters.keys() - upstreams.keys():
                del self._counters[name]
        return self._current

    def _make(self, spec: UpstreamSpec) -> Upstream:
        """The upstream of that name in force, if it is the same; otherwise one that takes over its targets."""
        former = self._current.get(spec.name)
        if former is not None and former.spec == spec:
            return former
        counters = self._counters.setdefault(spec.name, UpstreamMeter(spec.retry_budget))
        known = _by_key(former) if former else {}
        shared = self._group(spec, None, spec.targets, known, counters)
        by_tenant = {
            slug: self._group(spec, slug, targets, known, counters) for slug, targets in spec.by_tenant.items()
        }
        return Upstream(spec, shared, by_tenant, counters)

    def _group(
        self,
        spec: UpstreamSpec,
        tenant: str | None,
        targets: Iterable[TargetSpec],
        known: Mapping[_Key, Target],
        counters: UpstreamMeter,
    ) -> Group:
        settings = target_settings(spec, of_tenant=tenant is not None)
        weights: dict[Target, int] = {}
        seen: Counter[str] = Counter()
        for each in targets:
            former = known.get((tenant, each.url, seen[each.url]))
            seen[each.url] += 1
            target = former
            if target is None or target.settings != settings:
                target = Target(each, settings, self._dialer, checked=spec.health is not None)
                if former is not None:
                    target.continue_from(former)
            weights[target] = each.weight
        return Group(spec, weights, counters, clock=self._clock, rand=self._random)

    def _retire(self, upstream: Upstream, staying: set[Target]) -> None:
        for group in upstream.groups():
            group.leave_force()
        due = self._clock() + self._grace
        self._removed.update((each, due) for each in upstream.targets() if each not in staying)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        for upstream in self._current.values():
            upstream.budget.tick()
        self._close_removed()

    def _close_removed(self) -> None:
        now = self._clock()
        for target in [each for each, due in self._removed.items() if due <= now and not each.outstanding]:
            del self._removed[target]
            task = asyncio.get_running_loop().create_task(target.pool.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _by_key(upstream: Upstream) -> dict[_Key, Target]:
    found: dict[_Key, Target] = {}
    for tenant, group in ((None, upstream.shared), *upstream.by_tenant.items()):
        seen: Counter[str] = Counter()
        for target in group.targets:
            found[tenant, target.name, seen[target.name]] = target
            seen[target.name] += 1
    return found
