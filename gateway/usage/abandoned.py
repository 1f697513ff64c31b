"""Segments whose worker has died: taken by whoever comes first, rolled up as the dead one would have done."""

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.usage.names import SegmentName, open_locked, segments_in, set_aside
from gateway.usage.reading import Reading, read_segment


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A dead worker's segment, held by its lock until it is discarded, set aside or released."""

    name: SegmentName
    _path: Path
    _descriptor: int

    def read(self) -> Reading:
        """What it holds."""
        length = os.fstat(self._descriptor).st_size
        return read_segment(self.name, os.pread(self._descriptor, length, 0))

    def discard(self) -> None:
        """Delete it, its counts being where they belong."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def set_aside(self) -> Path:
        """Keep what is damaged for a person; where."""
        kept = set_aside(self._path)
        os.close(self._descriptor)
        return kept

    def release(self) -> None:
        """Leave it to the next who comes."""
        os.close(self._descriptor)


def take(folder: Path, most: int) -> list[Abandoned]:
    """At most that many segments which nobody writes any more, in the order of their making."""
    taken: list[Abandoned] = []
    for name in sorted(segments_in(folder)):
        if len(taken) == most:
            break
        path = folder / name.file
        descriptor = open_locked(path, 0)
        if descriptor is not None:
            taken.append(Abandoned(name, path, descriptor))
    return taken
