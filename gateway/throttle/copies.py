"""Copies of the values of a mapping, made when they are asked for: a rehearsal works on them."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Copies(dict[Key, Value]):
    """Values that are not asked for are not in it, so that a worker with 100,000 accounts copies one."""

    def __init__(self, originals: Mapping[Key, Value], copied: Callable[[Value], Value]) -> None:
        super().__init__()
        self._originals = originals
        self._copied = copied

    def get(self, key: Key, default: Value | None = None) -> Value | None:  # type: ignore[override]  # its overloads
        """The copy of the original, or what was put here in its place."""
        if key not in self and key in self._originals:
            self[key] = self._copied(self._originals[key])
        return super().get(key, default)

    def setdefault(self, key: Key, default: Value) -> Value:
        """As ``get``; puts the default here if there is none."""
        known = self.get(key)
        return super().setdefault(key, default) if known is None else known
