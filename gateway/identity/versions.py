"""Versions of the rows that many remembered credentials share: a tenant's, a person's.

Whatever was made from such a row holds its version. A change ends the version, and with it everything that was made
from it, in one step: a worker that remembers 100,000 keys of one tenant would stand still for a third of a second if it
had to find and forget each of them.
"""

from weakref import WeakValueDictionary


class Version:
    """One state of a row. ``current`` until the row changes."""

    __slots__ = ("__weakref__", "current")

    def __init__(self) -> None:
        self.current = True


class Versions:
    """The current version of each row that something was made from; those that nothing holds go by themselves."""

    def __init__(self) -> None:
        self._by_tag: WeakValueDictionary[str, Version] = WeakValueDictionary()
        self._everything = Version()

    def __len__(self) -> int:
        """Rows that something remembered was made from."""
        return len(self._by_tag)

    def of(self, tag: str | None) -> Version:
        """The version of this row; without a tag one that lasts until ``end_all``."""
        if tag is None:
            return self._everything
        version = self._by_tag.get(tag)
        if version is None:
            version = self._by_tag[tag] = Version()
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
        self._everything = Version()
