"""Waiting lines that are served in turn, so that a long one delays itself and no other."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """One line for each lane that has somebody in it."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[Item]] = {}
        self._turns: deque[Hashable] = deque()  # lanes, the next one first
        self._count = 0

    def __len__(self) -> int:
        """How many wait in all lanes together."""
        return self._count

    def length(self, lane: Hashable) -> int:
        """How many wait in this lane."""
        return len(self._lines.get(lane, ()))

    def put(self, lane: Hashable, item: Item) -> None:
        """Wait at the end of this lane."""
        line = self._lines.get(lane)
        if line is None:
            line = self._lines[lane] = deque()
            self._turns.append(lane)
        line.append(item)
        self._count += 1

    def take(self, most: int) -> list[Item]:
        """The next ones, at most so many: one of each lane, then another of each."""
        taken: list[Item] = []
        while self._turns and len(taken) < most:
            lane = self._turns.popleft()
            line = self._lines[lane]
            taken.append(line.popleft())
            if line:
                self._turns.append(lane)
            else:
                del self._lines[lane]
        self._count -= len(taken)
        return taken
