"""A bounded memory of credentials, by their hashes, which knows from which rows each of them was made.

An entry is void when a version that it was made from has ended. It then keeps its place until it is loaded again or
another needs it, so that a change, or the end of all trust, costs the same however many entries it concerns.
"""

from typing import Generic, TypeVar

from gateway.identity.versions import Version

What = TypeVar("What")

_SPARED = 64  # entries in a row, at most, so that making room takes microseconds whatever was used
_NOTHING = Version()


class Entry(Generic[What]):
    """One credential. Plain slots, used again and again: 100,000 of them stay in memory."""

    __slots__ = ("expires_at", "key", "loaded_at", "own", "tenant", "user", "visited", "what")

    def __init__(self) -> None:
        self.key = b""
        self.clear()

    def clear(self) -> None:
        """Hold nothing."""
        self.what: What | None = None
        self.own: tuple[str, ...] = ()  # tags of the row that is this credential's alone
        self.tenant = self.user = _NOTHING
        self.loaded_at = 0.0  # time.monotonic() before the database was asked
        self.expires_at: float | None = None  # seconds since the epoch; None is never
        self.visited = False  # since the hand last came by

    @property
    def current(self) -> bool:
        """Nothing that it was made from has changed."""
        return self.tenant.current and self.user.current


class Entries(Generic[What]):
    """At most ``size`` entries. Who makes room is void, or was not used since it was last looked at (CLOCK)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_key: dict[bytes, Entry[What]] = {}
        self._by_own: dict[str, Entry[What]] = {}
        self._ring: list[Entry[What]] = []  # all of them, the free ones too
        self._free: list[Entry[What]] = []
        self._hand = 0

    def __len__(self) -> int:
        """Credentials that are remembered, void ones too."""
        return len(self._by_key)

    def get(self, key: bytes) -> Entry[What] | None:
        """The entry of this credential, void or not."""
        return self._by_key.get(key)

    def place(self, key: bytes, own: tuple[str, ...]) -> Entry[What]:
        """The entry of this credential, to be filled; the one it had, or an empty one."""
        entry = self._by_key.get(key)
        if entry is None:
            entry = self._free.pop() if self._free else self._room()
            entry.key = key
            self._by_key[key] = entry
        else:
            self._forget_own(entry)
        entry.own = own
        for tag in own:
            self._by_own[tag] = entry
        return entry

    def drop(self, key: bytes) -> None:
        """Forget this credential."""
        entry = self._by_key.get(key)
        if entry is not None:
            self._empty(entry)
            self._free.append(entry)

    def drop_own(self, tag: str) -> None:
        """Forget the credential whose own row this is."""
        entry = self._by_own.get(tag)
        if entry is not None:
            self.drop(entry.key)

    def _room(self) -> Entry[What]:
        if len(self._ring) < self._size:
            self._ring.append(Entry())
            return self._ring[-1]
        entry = self._next()
        for _ in range(_SPARED):
            if not (entry.visited and entry.current):
                break
            entry.visited = False
            entry = self._next()
        self._empty(entry)
        return entry

    def _next(self) -> Entry[What]:
        entry = self._ring[self._hand]
        self._hand = (self._hand + 1) % self._size
        return entry

    def _empty(self, entry: Entry[What]) -> None:
        del self._by_key[entry.key]
        self._forget_own(entry)
        entry.clear()

    def _forget_own(self, entry: Entry[What]) -> None:
        for tag in entry.own:
            if self._by_own.get(tag) is entry:
                del self._by_own[tag]
