"""The folders of the parts: who may enter them, and that only one of us uses each at a time."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.development.ports import PartFailed
from gateway.development.processes import Account

_NOTE = "kept-elsewhere"
_SYSTEM_STATE = Path("/var/lib/tenantry")


class FolderLock:
    """Held by the process that uses a folder; the operating system gives it back when that process ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take it, unless we hold it already. Raises PartFailed with the other's process id when it is taken."""
        if self._handle is not None:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode().strip()
            os.close(handle)
            raise PartFailed(f"{self._path.parent} is in use by process {holder or 'unknown'}.") from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._handle = handle

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def make_folder(path: Path, *, open_to_others: bool) -> Path:
    """Create it with its parents. Others may pass through it (never list it) only when a child needs to."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o711 if open_to_others else 0o700)
    return path.resolve()


def write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, complete or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # mkstemp gives mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(temporary).replace(path)


def can_enter(path: Path, account: Account) -> bool:
    """True when that account may pass through every folder on the way to ``path``, and through ``path`` itself."""
    return all(_passable(folder, account) for folder in (path, *path.parents))


def folder_for(account: Account, wanted: Path) -> Path:
    """``wanted`` when that account can reach it; else a folder of the same identity under /var/lib/tenantry.

    A root user's home is closed to others, and opening it for a database would be worse than going elsewhere. Who
    deletes ``wanted`` means what is elsewhere as well: that is found by the note that is missing from it, and deleted.
    """
    make_folder(wanted, open_to_others=True)
    if can_enter(wanted, account):
        return wanted
    elsewhere, note = _elsewhere(wanted), wanted / _NOTE
    if not note.exists() and elsewhere.exists():
        shutil.rmtree(elsewhere)
    note.write_text(f"{elsewhere}\n")
    return make_folder(elsewhere, open_to_others=True)


def discard(wanted: Path) -> None:
    """Delete a part's folder, and what ``folder_for`` may have put elsewhere in its name."""
    for folder in (wanted, _elsewhere(wanted)):
        if folder.exists():
            shutil.rmtree(folder)


def _elsewhere(wanted: Path) -> Path:
    return _SYSTEM_STATE / hashlib.sha256(os.fsencode(wanted.resolve())).hexdigest()[:16]


def _passable(folder: Path, account: Account) -> bool:
    facts = folder.stat()
    needed = stat.S_IXUSR if facts.st_uid == account.uid else stat.S_IXOTH
    return bool(facts.st_mode & needed)
