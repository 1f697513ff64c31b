"""Versions of the rows that many cached credentials share: a tenant's, a user's.

A cached entry holds the versions of the rows that it was made from. A change ends a version, and so invalidates every
entry at once: to find and drop 100,000 keys of one tenant would stop a worker for a third of a second.
"""

from weakref import WeakValueDictionary


class RowVersion:
    """One state of a row. ``current`` until the row changes."""

    __slots__ = ("__weakref__", "current")

    def __init__(self) -> None:
        self.current = True


class RowVersions:
    """The current version of each row that an entry was made from. Versions without an entry are freed."""

    def __init__(self) -> None:
        self._by_tag: WeakValueDictionary[str, RowVersion] = WeakValueDictionary()
        self._everything = RowVersion()

    def __len__(self) -> int:
        """Number of rows that cached entries were made from."""
        return len(self._by_tag)

    def of(self, tag: str | None) -> RowVersion:
        """The version of this row; without a tag one that lasts until ``end_all``."""
        if tag is None:
            return self._everything
        version = self._by_tag.get(tag)
        if version is None:
            version = self._by_tag[tag] = RowVersion()
        return version

    def end(self, tag: str) -> None:
        """The row has changed."""
        version = self._by_tag.pop(tag, None)
        if version is not None:
            version.current = False

    def end_all(self) -> None:
        """Any row may have changed."""
        for version in self._by_tag.values():
            version.current = False
        self._by_tag.clear()
        self._everything.current = False
        self._everything = RowVersion()
