"""Folders of the local servers: their permissions, and a lock so that one process at a time uses each."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.development.processes import Account
from gateway.development.servers import ServerFailed

_NOTE = "kept-elsewhere"
_SYSTEM_STATE = Path("/var/lib/tenantry")


class FolderLock:
    """Held by the process that uses a folder; the operating system releases it when that process ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._handle: int | None = None

    def acquire(self) -> None:
        """Acquire it if this object does not hold it. Raises ServerFailed with the process id of the holder."""
        if self._handle is not None:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode().strip()
            os.close(handle)
            raise ServerFailed(f"{self._path.parent} is in use by process {holder or 'unknown'}.") from None
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
    """Create it with its parents. ``open_to_others`` lets other users traverse it, but not list it."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o711 if open_to_others else 0o700)
    return path.resolve()


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # mkstemp gives mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(temporary).replace(path)


def can_traverse(path: Path, account: Account) -> bool:
    """True when that account may traverse ``path`` and every folder above it."""
    return all(_may_traverse(folder, account) for folder in (path, *path.parents))


def reachable_folder(account: Account, preferred: Path) -> Path:
    """``preferred`` when that account can reach it; else a folder under /var/lib/tenantry, named by a hash of the path.

    Root's home is closed to other users, and opening it for a database would be worse than a folder elsewhere. A note
    in ``preferred`` names the other folder; when ``preferred`` was deleted, the note is missing and the other folder is
    deleted too.
    """
    make_folder(preferred, open_to_others=True)
    if can_traverse(preferred, account):
        return preferred
    fallback, note = _fallback(preferred), preferred / _NOTE
    if not note.exists() and fallback.exists():
        shutil.rmtree(fallback)
    note.write_text(f"{fallback}\n")
    return make_folder(fallback, open_to_others=True)


def delete_folder(preferred: Path) -> None:
    """Delete a server's folder, and the one that ``reachable_folder`` may have created in its place."""
    for folder in (preferred, _fallback(preferred)):
        if folder.exists():
            shutil.rmtree(folder)


def _fallback(preferred: Path) -> Path:
    return _SYSTEM_STATE / hashlib.sha256(os.fsencode(preferred.resolve())).hexdigest()[:16]


def _may_traverse(folder: Path, account: Account) -> bool:
    facts = folder.stat()
    needed = stat.S_IXUSR if facts.st_uid == account.uid else stat.S_IXOTH
    return bool(facts.st_mode & needed)
