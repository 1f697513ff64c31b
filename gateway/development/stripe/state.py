"""The state of the stand-in, in memory and in a journal file that survives a restart or SIGKILL.

A committed change is one line of JSON: a list of ``[collection, id, record or null]``. A torn last line (the process
died while writing) was never acknowledged and is dropped. The journal is rewritten, complete or not at all, at start.
"""

import copy
import json
import os
import secrets
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]
_Collections = dict[str, dict[str, Record]]
_EVENT_LIFE = 30 * 86400  # seconds; https://docs.stripe.com/api/events: events are kept for 30 days
_KEY_LIFE = 86400  # seconds; https://docs.stripe.com/api/idempotent_requests
_LIVES = {"events": _EVENT_LIFE, "idempotency": _KEY_LIFE}
_ID_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 24
_ID_LENGTHS = {"cus": 14, "prod": 14, "si": 14, "req": 14, "whsec": 32}


def new_id(prefix: str) -> str:
    """An id or secret in Stripe's form, such as ``cus_NffrFeUfNV2Hib``; what follows the prefix is random."""
    length = _ID_LENGTHS.get(prefix, _ID_LENGTH)
    return f"{prefix}_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(length))


class Cause(NamedTuple):
    """The request that caused a change: the ``request`` of its events. Both None when time caused it."""

    id: str | None = None
    idempotency_key: str | None = None


class Change:
    """One change, invisible until it is committed. The records that it returns are copies."""

    def __init__(self, committed: _Collections, now: int, cause: Cause) -> None:
        self._committed = committed
        self._staged: _Collections = {}
        self._removed: set[tuple[str, str]] = set()
        self.now = now  # seconds since the epoch
        self.cause = cause

    def get(self, collection: str, record_id: str) -> Record | None:
        """A copy of the record, or None."""
        if (collection, record_id) in self._removed:
            return None
        held = self._staged.get(collection, {}).get(record_id) or self._committed.get(collection, {}).get(record_id)
        return copy.deepcopy(held)

    def put(self, collection: str, record: Record) -> None:
        """Create or replace the record under its ``id``."""
        self._staged.setdefault(collection, {})[record["id"]] = copy.deepcopy(record)

    def remove(self, collection: str, record_id: str) -> None:
        self._staged.get(collection, {}).pop(record_id, None)
        self._removed.add((collection, record_id))

    def newest_first(self, collection: str) -> Iterator[Record]:
        """Every record, newest first. Read-only: these are not copies."""
        staged = self._staged.get(collection, {})
        held = self._committed.get(collection, {})
        yield from [staged[each] for each in reversed(staged) if each not in held]
        for record_id in list(reversed(held)):
            if (collection, record_id) not in self._removed:
                yield staged.get(record_id, held[record_id])

    def entries(self) -> list[tuple[str, str, Record | None]]:
        """The change in the journal's form."""
        written = [(name, key, record) for name, records in self._staged.items() for key, record in records.items()]
        return [*written, *((name, key, None) for name, key in sorted(self._removed))]


class State:
    """The committed records. One process at a time: the caller holds a lock on the folder."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: _Collections = {}
        self._load(path)
        self._prune()
        self._compact(path)
        self._journal = path.open("a", encoding="utf-8")
        self.on_commit: Callable[[], None] = lambda: None

    def now(self) -> float:
        """Seconds since the epoch, by the stand-in's clock."""
        return self._clock()

    @contextmanager
    def change(self, cause: Cause = Cause()) -> Iterator[Change]:  # noqa: B008 - an immutable tuple
        """A change, committed at the end of the block and discarded when it raises."""
        change = Change(self._records, int(self._clock()), cause)
        yield change
        if entries := change.entries():
            self._journal.write(_line(entries))
            self._journal.flush()
            self._apply(entries)
            self.on_commit()

    def close(self) -> None:
        self._journal.close()

    def _load(self, path: Path) -> None:
        if path.exists():
            complete, _, _torn = path.read_text(encoding="utf-8").rpartition("\n")
            for line in complete.splitlines():
                self._apply(json.loads(line))

    def _apply(self, entries: list[tuple[str, str, Record | None]]) -> None:
        for collection, record_id, record in entries:
            records = self._records.setdefault(collection, {})
            if record is None:
                records.pop(record_id, None)
            else:
                records[record_id] = record

    def _prune(self) -> None:
        for collection, life in _LIVES.items():
            records = self._records.get(collection, {})
            for old in [key for key, each in records.items() if each["created"] < self._clock() - life]:
                del records[old]

    def _compact(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it contains signing secrets
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for name, records in self._records.items():
                file.writelines(_line([(name, key, record)]) for key, record in records.items())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def _line(entries: list[tuple[str, str, Record | None]]) -> str:
    return json.dumps(entries, separators=(",", ":")) + "\n"
