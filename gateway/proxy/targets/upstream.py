"""One upstream at one version of the configuration: which target gets a request, and whether it may be retried."""

from collections.abc import Iterator

from gateway.proxy.targets.group import Group
from gateway.proxy.targets.meters import RouteMeter, UpstreamMeter
from gateway.proxy.targets.target import Target
from tenants.routes.schemas import UpstreamSpec


class Upstream:
    """Versions of one upstream share the targets that both have, the retry budget and the counters."""

    def __init__(self, spec: UpstreamSpec, shared: Group, by_tenant: dict[str, Group], counters: UpstreamMeter) -> None:
        self.spec = spec
        self.name = spec.name
        self.budget = counters.budget
        self.counters = counters
        self.shared = shared
        self.by_tenant = by_tenant

    def pick(self, tenant_slug: str, tried: tuple[Target, ...] = ()) -> Target:
        """Where to send a request of that tenant: to its own targets, if it has some. Raises NoTarget.

        ``tried`` are the targets of the request's earlier attempts. Call ``began`` before anything is awaited.
        """
        group = self.by_tenant.get(tenant_slug, self.shared) if self.by_tenant else self.shared
        if tried:
            return group.pick_again(tried)
        self.budget.requests += 1
        return group.pick()

    def meter(self, route: str) -> RouteMeter:
        """The counters of a route, for ``Target.began``."""
        return self.counters.route(route)

    def groups(self) -> Iterator[Group]:
        """The shared targets, then those of each tenant."""
        yield self.shared
        yield from self.by_tenant.values()

    def targets(self) -> Iterator[Target]:
        """All targets."""
        for group in self.groups():
            yield from group.targets
