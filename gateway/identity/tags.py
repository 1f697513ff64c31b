"""Which remembered credentials were made from what: asked at every change, so that only they are forgotten."""

from collections.abc import Iterable


class TagIndex:
    """From a tag to keys. Most tags have one key, so that one is held without a set around it (216 bytes each)."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes | set[bytes]] = {}

    def __len__(self) -> int:
        """Tags that have keys."""
        return len(self._keys)

    def add(self, tags: Iterable[str], key: bytes) -> None:
        """Find ``key`` under each of these tags from now on."""
        for tag in tags:
            known = self._keys.setdefault(tag, key)
            if isinstance(known, set):
                known.add(key)
            elif known != key:
                self._keys[tag] = {known, key}

    def remove(self, tags: Iterable[str], key: bytes) -> None:
        """Find ``key`` under these tags no more."""
        for tag in tags:
            known = self._keys.get(tag)
            if isinstance(known, set):
                known.discard(key)
                if known:
                    continue
            elif known != key:
                continue
            del self._keys[tag]

    def take(self, tag: str) -> Iterable[bytes]:
        """The keys of this tag, which has none afterwards."""
        known = self._keys.pop(tag, ())
        return (known,) if isinstance(known, bytes) else known

    def clear(self) -> None:
        """Forget all."""
        self._keys.clear()
