"""A worker's place in the folder that the workers of one host share: the first that nobody holds.

Whoever comes to the place of a dead worker goes on with its counters, so that they stay, and the files are never more
than the workers that were alive at one time. The lock tells the living from the dead: the kernel takes it away when a
process ends, however it ends.
"""

import os
from pathlib import Path
from typing import Self

from gateway.metrics.measure import LASTING, Kind
from gateway.usage.names import open_locked

_LOCK = ".slot"
_PASSING = tuple(kind for kind in Kind if kind not in LASTING)


class Slot:
    """Held until it is released, or until this process ends."""

    def __init__(self, folder: Path, number: int, descriptor: int) -> None:
        self._folder = folder
        self._number = number
        self._descriptor = descriptor

    @classmethod
    def claim(cls, folder: Path) -> Self:
        """The first free place in the folder. Raises OSError when nothing can be written there."""
        number = 0
        while (descriptor := open_locked(folder / f"{number}{_LOCK}", os.O_CREAT)) is None:
            number += 1
        slot = cls(folder, number, descriptor)
        slot.forget(*_PASSING)
        return slot

    def file(self, kind: Kind) -> Path:
        """Where this worker's values of that kind stand."""
        return self._folder / f"{kind}_{self._number}.db"

    def forget(self, *kinds: Kind) -> None:
        """Delete the values of these kinds."""
        for kind in kinds:
            self.file(kind).unlink(missing_ok=True)

    def touch(self) -> None:
        """Show that it is in use to what cleans temporary folders: without its file the place would be given twice."""
        os.utime(self._descriptor)

    def release(self) -> None:
        """Give the place to whoever comes next."""
        os.close(self._descriptor)


def bury_the_dead(folder: Path, *kinds: Kind) -> None:
    """Delete what dead workers have left of these kinds, by default what only the living may say."""
    for path in folder.glob(f"*{_LOCK}"):
        descriptor = open_locked(path, 0)
        if descriptor is None:
            continue
        slot = Slot(folder, int(path.name.removesuffix(_LOCK)), descriptor)
        slot.forget(*(kinds or _PASSING))  # under the lock: nobody can have come to that place meanwhile
        slot.release()
