"""Segments of dead workers: another worker takes them over and writes them to PostgreSQL."""

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.usage.names import SegmentName, open_locked, segments_in, set_aside
from gateway.usage.reading import Reading, read_segment


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A dead worker's segment, locked until it is discarded, set aside or released."""

    name: SegmentName
    _path: Path
    _descriptor: int

    def read(self) -> Reading:
        """Its counts."""
        length = os.fstat(self._descriptor).st_size
        return read_segment(self.name, os.pread(self._descriptor, length, 0))

    def discard(self) -> None:
        """Delete it: its counts are in PostgreSQL."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def set_aside(self) -> Path:
        """Keep the damaged file for inspection; returns its path."""
        kept = set_aside(self._path)
        os.close(self._descriptor)
        return kept

    def release(self) -> None:
        """Unlock it, for another worker."""
        os.close(self._descriptor)


def take_abandoned(folder: Path, most: int) -> list[Abandoned]:
    """At most ``most`` segments without a writer, oldest first."""
    taken: list[Abandoned] = []
    for name in sorted(segments_in(folder)):
        if len(taken) == most:
            break
        path = folder / name.file
        descriptor = open_locked(path, 0)
        if descriptor is not None:
            taken.append(Abandoned(name, path, descriptor))
    return taken
