"""Stored answers by tenant: looked up by key, the least recently used dropped first.

A key names a route, who may have the answer, and the target of the request. Below it are the variants that ``Vary``
selects among.
"""

from collections import OrderedDict
from collections.abc import Iterable
from sys import getsizeof

from gateway.proxy.cache.fields import sent_value
from gateway.proxy.cache.stored import Stored
from gateway.request.fields import Field, RequestFields

MOST_VARIANTS = 16  # of one key: a field with endless values, such as User-Agent, drops the oldest
RESOURCE_BYTES = 600  # of a key without variants: tuple, object, nodes of three dictionaries (measured, rounded up)
VALIDATED_WITHIN = 3_600  # seconds for which a stale answer is kept to be validated


class Zone:
    """One route as it is configured now. A changed route is another zone, so that it starts anew."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


Key = tuple[Zone, str, bytes, bytes, bytes]  # route, share, authority, path and query as they were sent


class Resource:
    """What is known of one key: its variants, or that its answers are not stored."""

    __slots__ = ("key", "names", "path", "size", "uncacheable_until", "variants")

    def __init__(self, key: Key, path: str) -> None:
        self.key = key
        self.path = path  # decoded: by which it is purged
        self.names: tuple[bytes, ...] = ()  # request fields that select
        self.variants: dict[tuple[bytes | None, ...], Stored] = {}
        self.uncacheable_until = float("-inf")  # until then its misses are not coalesced; monotonic
        self.size = RESOURCE_BYTES + getsizeof(key[3]) + getsizeof(key[4]) + len(key[2]) + 2 * getsizeof(path)

    def select(self, fields: RequestFields, headers: list[Field]) -> Stored | None:
        """The variant for a request with these fields."""
        return self.variants.get(selected(self.names, fields, headers) if self.names else ())

    def is_useless(self, now: float) -> bool:
        """Nothing of it can be served or validated in a reasonable time; ``now`` is monotonic."""
        last = max((each.useless_at for each in self.variants.values()), default=float("-inf"))
        return max(last + VALIDATED_WITHIN, self.uncacheable_until) <= now

    def put(self, entry: Stored) -> None:
        """Store a variant. One that is selected by fields unknown so far takes the place of all."""
        if not set(entry.selecting) <= set(self.names):
            self.size -= sum(each.size for each in self.variants.values())
            self.variants.clear()
            self.names = entry.selecting
        self._drop(entry.selected)
        if len(self.variants) >= MOST_VARIANTS:
            self._drop(next(iter(self.variants)))
        self.variants[entry.selected] = entry
        self.size += entry.size

    def remove(self, entry: Stored) -> None:
        """Forget this variant, if it is still there."""
        if self.variants.get(entry.selected) is entry:
            self._drop(entry.selected)

    def _drop(self, values: tuple[bytes | None, ...]) -> None:
        entry = self.variants.pop(values, None)
        if entry is not None:
            self.size -= entry.size


class Share:
    """What is stored for one tenant, or for callers without one."""

    __slots__ = ("accounted", "bytes", "paths", "resources", "tenant")

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.bytes = 0
        self.accounted = 0  # bytes that ``BySize`` knows of
        self.resources: OrderedDict[Key, Resource] = OrderedDict()  # the least recently used first
        self.paths: dict[str, set[Key]] = {}

    def get(self, key: Key) -> Resource | None:
        """What is known of the key, which becomes the most recently used."""
        found = self.resources.get(key)
        if found is not None:
            self.resources.move_to_end(key)
        return found

    def make(self, key: Key, path: str) -> Resource:
        """The same, created if need be."""
        found = self.get(key)
        if found is None:
            found = self.resources[key] = Resource(key, path)
            self.paths.setdefault(path, set()).add(key)
            self.bytes += found.size
        return found

    def drop(self, key: Key) -> None:
        """Forget the key."""
        found = self.resources.pop(key, None)
        if found is None:
            return
        self.bytes -= found.size
        keys = self.paths[found.path]
        keys.discard(key)
        if not keys:
            del self.paths[found.path]

    def drop_path(self, path: str) -> int:
        """Forget all that is stored under this path; how many keys that were."""
        keys = tuple(self.paths.get(path, ()))
        for key in keys:
            self.drop(key)
        return len(keys)


def selected(names: Iterable[bytes], fields: RequestFields, headers: list[Field]) -> tuple[bytes | None, ...]:
    """The values of the selecting fields in a request."""
    return tuple([sent_value(fields, headers, name) for name in names])


class BySize:
    """Shares by the power of two of their bytes, so that one of the largest is found at once.

    What has to be evicted is evicted from one of the largest: a tenant with less than half of the largest tenant's
    bytes loses nothing to others.
    """

    def __init__(self) -> None:
        self._classes: list[dict[Share, None]] = [{} for _ in range(64)]
        self.bytes = 0  # of all

    def update(self, share: Share) -> None:
        """The share's bytes have changed."""
        self.bytes += share.bytes - share.accounted
        now, before = share.bytes.bit_length(), share.accounted.bit_length()
        share.accounted = share.bytes
        if now == before:
            return
        if before:
            del self._classes[before][share]
        if now:
            self._classes[now][share] = None

    def largest(self) -> Share | None:
        """One of the largest, each in turn."""
        for members in reversed(self._classes):
            if members:
                share = next(iter(members))
                members[share] = members.pop(share)
                return share
        return None
