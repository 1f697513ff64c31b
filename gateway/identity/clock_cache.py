"""A bounded cache of credentials by their hashes, with CLOCK eviction and invalidation by row.

An entry is invalid when a row version that it was made from has ended. It keeps its place until it is loaded again or
evicted, so that a change costs the same however many entries it invalidates.
"""

from typing import Generic, TypeVar

from gateway.identity.row_versions import RowVersion

Value = TypeVar("Value")

_MAX_STEPS = 64  # recently used entries skipped in one eviction, so that it takes microseconds
_NO_ROW = RowVersion()


class Entry(Generic[Value]):
    """One credential. Entries are reused: 100,000 of them stay allocated."""

    __slots__ = ("expires_at", "key", "line", "loaded_at", "own", "recently_used", "tenant", "user", "value")

    def __init__(self) -> None:
        self.key = b""
        self.clear()

    def clear(self) -> None:
        """Make the entry empty."""
        self.value: Value | None = None
        self.own: tuple[str, ...] = ()  # tags of the credential's own row
        self.tenant = self.user = _NO_ROW
        self.line: tuple[RowVersion, ...] = ()  # keys that own it
        self.loaded_at = 0.0  # time.monotonic() before the database was queried
        self.expires_at: float | None = None  # seconds since the epoch; None is never
        self.recently_used = False  # since the clock hand last passed

    @property
    def current(self) -> bool:
        """No row that it was made from has changed."""
        return self.tenant.current and self.user.current and all(each.current for each in self.line)


class ClockCache(Generic[Value]):
    """At most ``size`` entries. Evicts one that is invalid, or was not used since the clock hand last passed."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_key: dict[bytes, Entry[Value]] = {}
        self._by_own: dict[str, Entry[Value]] = {}
        self._ring: list[Entry[Value]] = []  # all entries, including the free ones
        self._free: list[Entry[Value]] = []
        self._hand = 0

    def __len__(self) -> int:
        """Number of credentials, including invalid ones."""
        return len(self._by_key)

    def get(self, key: bytes) -> Entry[Value] | None:
        """The entry of this credential, valid or not."""
        return self._by_key.get(key)

    def place(self, key: bytes, own: tuple[str, ...]) -> Entry[Value]:
        """An entry for this credential, to be filled: its present one, or an empty one."""
        entry = self._by_key.get(key)
        if entry is None:
            entry = self._free.pop() if self._free else self._allocate()
            entry.key = key
            self._by_key[key] = entry
        else:
            self._unlink_own(entry)
        entry.own = own
        for tag in own:
            self._by_own[tag] = entry
        return entry

    def drop(self, key: bytes) -> None:
        """Remove this credential."""
        entry = self._by_key.get(key)
        if entry is not None:
            self._remove(entry)
            self._free.append(entry)

    def drop_own(self, tag: str) -> None:
        """Remove the credential whose own row this is."""
        entry = self._by_own.get(tag)
        if entry is not None:
            self.drop(entry.key)

    def _allocate(self) -> Entry[Value]:
        if len(self._ring) < self._size:
            self._ring.append(Entry())
            return self._ring[-1]
        entry = self._next()
        for _ in range(_MAX_STEPS):
            if not (entry.recently_used and entry.current):
                break
            entry.recently_used = False
            entry = self._next()
        self._remove(entry)
        return entry

    def _next(self) -> Entry[Value]:
        entry = self._ring[self._hand]
        self._hand = (self._hand + 1) % self._size
        return entry

    def _remove(self, entry: Entry[Value]) -> None:
        del self._by_key[entry.key]
        self._unlink_own(entry)
        entry.clear()

    def _unlink_own(self, entry: Entry[Value]) -> None:
        for tag in entry.own:
            if self._by_own.get(tag) is entry:
                del self._by_own[tag]
