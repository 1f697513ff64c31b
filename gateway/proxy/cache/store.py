"""What one worker has stored, of all routes and tenants: bounded in bytes, dropped when it may not be used any more.

Nothing stored is used while it is not confirmed that purges arrive (docs/decisions/0040), so that a purge is in force
on every worker when it is answered.
"""

import time
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from pydantic import ValidationError

from gateway.proxy.cache.background import Background
from gateway.proxy.cache.callers import ClientFields
from gateway.proxy.cache.fills import Fills
from gateway.proxy.cache.purges import EVERYTHING, Pattern, Purges
from gateway.proxy.cache.shares import BySize, Key, Resource, Share, Zone
from gateway.proxy.cache.stored import Stored
from tenants.database.listener import TRUSTED_FOR, ChangeKind, Subscriber
from tenants.routes.purges import Purge

_FILLING_PART = 4  # answers that are being received may occupy this part of the bytes, stored ones the rest
_ENTRY_PART = 8  # the largest entry, as a part of the bytes
_EXPIRED_AT_ONCE = 2  # of the least recently used keys
UNCACHEABLE_FOR = 10.0  # seconds for which misses are not coalesced, after an answer that was not stored


class Channel(Protocol):
    """The part of ``tenants/database/listener.py`` that the cache uses."""

    confirmed_at: float

    def subscribe(self, subscriber: Subscriber) -> None: ...


class Stats:
    """Counts since the start of the worker."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = dict.fromkeys(
            ("hit", "stale", "validated", "collapsed", "miss", "bypass", "refused"), 0
        )
        self.stored = 0
        self.evictions = 0
        self.invalidated = 0  # keys, by an unsafe method
        self.purges = 0


class ResponseCache:
    """One per worker. ``limit``: bytes of all that is stored or being stored.

    ``client_fields`` are the forwarder's fields for the upstream on the target of a request.
    ``monotonic`` and ``wall`` are the clocks: seconds, and seconds since the epoch.
    """

    def __init__(
        self,
        limit: int,
        channel: Channel,
        client_fields: ClientFields,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.client_fields = client_fields
        self.monotonic = monotonic
        self.wall = wall
        self.stats = Stats()
        self.fills = Fills(limit // _FILLING_PART)
        self.background = Background()
        self.limit = limit - limit // _FILLING_PART  # of what is stored
        self.largest = limit // _ENTRY_PART
        self._channel = channel
        self._shares: dict[str, Share] = {}
        self._zones: dict[str, Zone] = {}
        self._by_size = BySize()
        self._purges = Purges(self._forget)
        channel.subscribe(self.on_change)

    def __len__(self) -> int:
        """Number of keys."""
        return sum(len(share.resources) for share in self._shares.values())

    @property
    def bytes(self) -> int:
        """Of what is stored, as accounted."""
        return self._by_size.bytes

    @property
    def trusted(self) -> bool:
        """Every purge that was answered by now has arrived."""
        return self.monotonic() - self._channel.confirmed_at <= TRUSTED_FOR

    def get(self, tenant: str, key: Key) -> Resource | None:
        """What is known of the key."""
        share = self._shares.get(tenant)
        if share is None:
            return None
        found = share.get(key)
        if found is not None and self._purges and self._purges.cover(share, key, found.path):
            self._forget(share, key)
            return None
        return found

    def put(self, tenant: str, key: Key, path: str, entry: Stored) -> bool:
        """Store an answer; False when it is too large, or one that was asked for later is there."""
        if entry.size > self.largest:
            return False
        share = self._share(tenant)
        self._expire(share)
        resource = share.make(key, path)
        present = resource.variants.get(entry.selected)
        if present is not None and present.answer.requested_at > entry.answer.requested_at:
            return False
        before = resource.size
        resource.put(entry)
        resource.uncacheable_until = float("-inf")
        share.bytes += resource.size - before
        self._account(share)
        self.stats.stored += 1
        self._evict()
        return True

    def remove(self, tenant: str, key: Key, entry: Stored) -> None:
        """Forget an answer that was found to be outdated."""
        share = self._shares.get(tenant)
        resource = None if share is None else share.resources.get(key)
        if share is not None and resource is not None:
            before = resource.size
            resource.remove(entry)
            share.bytes += resource.size - before
            self._account(share)

    def note_uncacheable(self, tenant: str, key: Key, path: str) -> None:
        """The key's answers are not stored: for a time, its misses do not wait for one another."""
        share = self._share(tenant)
        share.make(key, path).uncacheable_until = self.monotonic() + UNCACHEABLE_FOR
        self._account(share)
        self._evict()

    def invalidate(self, tenant: str | None, path: str) -> None:
        """An unsafe method has succeeded on this path (RFC 9111 section 4.4). None concerns the callers of all tenants.

        Callers without a tenant may have got the same resource by a public route.
        """
        self.fills.outdate_path(tenant, path)
        tenants = tuple(self._shares) if tenant is None else (tenant, "")
        for each in tenants:
            if (share := self._shares.get(each)) is not None and (dropped := share.drop_path(path)):
                self.stats.invalidated += dropped
                self._account(share)

    def purge(self, pattern: Pattern) -> None:
        """Use nothing of this from now on."""
        self.stats.purges += 1
        self.fills.outdate(pattern)
        self._purges.begin(pattern, self._shares.values())

    def zone(self, route: str) -> Zone:
        """For a route that is new or has changed: what its former version has stored is dropped."""
        former, zone = self._zones.get(route), Zone(route)
        self._zones[route] = zone
        if former is not None:
            self.purge(Pattern(zone=former))
        return zone

    def on_change(self, kind: str, changed: str) -> None:
        """A purge, or a change of what upstreams get to know of a tenant. Called by the channel, in order of commit."""
        if kind == ChangeKind.CACHE:
            self.purge(_pattern(changed))
        elif kind == ChangeKind.TENANT:
            if changed in self._shares or self.fills.any_of(changed):
                self.purge(Pattern(tenant=changed))
        elif kind in {ChangeKind.RESET, ChangeKind.PLAN}:
            self.purge(EVERYTHING)

    async def close(self) -> None:
        """End what runs in the background."""
        self._purges.close()
        await self.background.close()

    def _share(self, tenant: str) -> Share:
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = Share(tenant)
        return share

    def _account(self, share: Share) -> None:
        self._by_size.update(share)

    def _evict(self) -> None:
        while self.bytes > self.limit and (share := self._by_size.largest()) is not None:
            self._forget(share, next(iter(share.resources)))
            self.stats.evictions += 1

    def _expire(self, share: Share) -> None:
        """Drop what can be of no use any more, a little with each answer that is stored."""
        now = self.monotonic()
        for key in list(islice(share.resources, _EXPIRED_AT_ONCE)):
            if share.resources[key].is_useless(now):
                share.drop(key)
        self._account(share)

    def _forget(self, share: Share, key: Key) -> None:
        share.drop(key)
        self._account(share)
        if not share.resources:
            self._shares.pop(share.tenant, None)


def _pattern(payload: str) -> Pattern:
    """Another release may know of members that this one does not: then it is everything."""
    try:
        spec = Purge.model_validate_json(payload)
    except ValidationError:
        return EVERYTHING
    tenant = None if spec.tenant is None else str(spec.tenant)
    return Pattern(route=spec.route, tenant=tenant, path=spec.path, path_prefix=spec.path_prefix)
