"""The origins of all tenants in memory. Plain data."""

from collections import Counter
from collections.abc import Iterable

from tenants.identifiers import TenantId

MOST_ORIGINS = 200_000  # of all tenants together, some 40 MB; the origins of further tenants stay closed


class OriginMap:
    """Which tenant allows which origins, and which origins any tenant allows."""

    def __init__(self, most: int = MOST_ORIGINS) -> None:
        self._most = most
        self._count = 0  # of all tenants' origins, each as often as it is allowed
        self._by_tenant: dict[TenantId, frozenset[bytes]] = {}
        self._tenants: Counter[bytes] = Counter()  # how many allow it
        self.left_out = 0  # tenants that found no place

    def put(self, tenant: TenantId, origins: Iterable[str]) -> None:
        """Replace the origins of a tenant; without any it takes no place."""
        self._remove(tenant)
        wanted = frozenset(each.encode() for each in origins)
        if self._count + len(wanted) > self._most:
            self.left_out += 1
        elif wanted:
            self._by_tenant[tenant] = wanted
            self._tenants.update(wanted)
            self._count += len(wanted)

    def anyone_allows(self, origin: bytes) -> bool:
        """Some tenant allows it."""
        return origin in self._tenants

    def allows(self, tenant: TenantId, origin: bytes) -> bool:
        """The tenant itself allows it."""
        return origin in self._by_tenant.get(tenant, ())

    def _remove(self, tenant: TenantId) -> None:
        for origin in self._by_tenant.pop(tenant, ()):
            self._count -= 1
            self._tenants[origin] -= 1
            if not self._tenants[origin]:
                del self._tenants[origin]
