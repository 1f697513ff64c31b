"""What is dropped at once, however much is stored: in force with the call, and freed little by little.

To walk over a million entries takes a second, in which nothing else runs. So a purge is a pattern that every look-up
checks until the walk is over (LD1).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.proxy.cache.shares import Key, Share, Zone

_KEYS_AT_ONCE = 500  # some 0.2 ms


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a purge concerns; None is any."""

    zone: Zone | None = None
    route: str | None = None
    tenant: str | None = None
    path: str | None = None  # decoded
    path_prefix: str | None = None  # the path and all below it

    def covers(self, zone: Zone, tenant: str, path: str) -> bool:
        """Whether it concerns this."""
        return (
            (self.zone is None or self.zone is zone)
            and (self.route is None or self.route == zone.name)
            and (self.tenant is None or self.tenant == tenant)
            and (self.path is None or self.path == path)
            and (self.path_prefix is None or _is_below(path, self.path_prefix))
        )


EVERYTHING = Pattern()


class Purges:
    """The purges that are under way. ``forget`` drops one key of a share."""

    def __init__(self, forget: Callable[[Share, Key], None]) -> None:
        self._forget = forget
        self._walks: dict[Pattern, Iterator[tuple[Share, Key]]] = {}
        self._handle: asyncio.Handle | None = None

    def __bool__(self) -> bool:
        return bool(self._walks)

    def begin(self, pattern: Pattern, shares: Iterable[Share]) -> None:
        """Forget what these shares have now."""
        self._walks[pattern] = _keys([each for each in shares if pattern.tenant in {None, each.tenant}])
        if self._handle is None:
            self._step()

    def cover(self, share: Share, key: Key, path: str) -> bool:
        """Whether this key is to be forgotten."""
        return any(pattern.covers(key[0], share.tenant, path) for pattern in self._walks)

    def close(self) -> None:
        """Stop."""
        if self._handle is not None:
            self._handle.cancel()

    def _step(self) -> None:
        self._handle = None
        pattern, walk = next(iter(self._walks.items()))
        for _ in range(_KEYS_AT_ONCE):
            found = next(walk, None)
            if found is None:
                del self._walks[pattern]
                break
            share, key = found
            resource = share.resources.get(key)
            if resource is not None and pattern.covers(key[0], share.tenant, resource.path):
                self._forget(share, key)
        if self._walks:
            self._handle = asyncio.get_running_loop().call_soon(self._step)


def _keys(shares: list[Share]) -> Iterator[tuple[Share, Key]]:
    for share in shares:
        for key in list(share.resources):
            yield share, key


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")
