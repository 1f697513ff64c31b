"""All values of one worker, each kind in its file."""

from collections.abc import Iterable
from pathlib import Path

from gateway.metrics.measure import LASTING, Kind, Sample
from gateway.metrics.slot import Slot
from gateway.metrics.value_file import ValueFile


class WorkerFiles:
    """Written by one worker, from ``set`` and ``write`` to ``close``, and read by any."""

    def __init__(self, folder: Path) -> None:
        """Take a place in the folder, which is made when it is not there. Raises OSError."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._slot = Slot.claim(folder)
        self._files = {kind: ValueFile(self._slot.file(kind)) for kind in Kind}

    def set(self, samples: Iterable[Sample]) -> None:
        """Take in the values as they are now."""
        for sample in samples:
            self._files[sample.measure.kind].set(sample)

    def write(self) -> None:
        """Let others see them. May wait for the disk. Raises OSError."""
        self._slot.touch()
        for file in self._files.values():
            file.write()

    def close(self) -> None:
        """Leave what was counted; what only the living say is gone."""
        self._slot.forget(*(kind for kind in Kind if kind not in LASTING))
        self._slot.release()
