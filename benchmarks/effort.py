"""How much is done for each figure, and what is said meanwhile."""

import sys
import time
from dataclasses import dataclass
from typing import TypeVar

Amount = TypeVar("Amount", int, float)

_BEGAN = time.monotonic()


@dataclass(frozen=True, slots=True)
class Effort:
    """A whole run, or a quick one that shows only that everything still works."""

    quick: bool = False

    def of(self, whole: Amount, quick: Amount) -> Amount:
        """So much of something."""
        return quick if self.quick else whole

    @property
    def rounds(self) -> int:
        """In which all works of a benchmark take turns, so that a slow moment of the machine hits all of them."""
        return self.of(5, 1)


def say(text: str) -> None:
    """A line of progress on standard error, with the seconds since the start."""
    sys.stderr.write(f"{time.monotonic() - _BEGAN:6.0f} s  {text}\n")
    sys.stderr.flush()
