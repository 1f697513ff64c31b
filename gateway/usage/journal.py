"""A worker's usage counts, from the request to the segments that wait to be written to PostgreSQL.

Everything but ``prepare`` runs on the event loop's thread and never blocks.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from uuid import uuid4

import structlog

from billing.usage.counts import Counted
from gateway.usage.errors import UsageFolderUnusable
from gateway.usage.layout import packed_count
from gateway.usage.segment import Segment, file_bytes
from gateway.usage.settings import UsageSettings
from tenants.principal import Principal

_MINUTE = 60  # seconds
_MIN_SEGMENTS = 3  # the current one, the next one, and a finished one
_GROWTH = 4  # factor of the size after a segment was full before its time
_MAX_RECORDS = 2**14  # of a segment: 3 MB

_NO_WORDS = memoryview(bytearray()).cast("Q")

_log = structlog.get_logger(__name__)


class Journal:
    """``count`` has stored a request when it returns. While ``full`` no more requests should be admitted.

    The next segment is always created ahead, so that no request waits for a file. When that fails, requests in flight
    still have the rest of the current one. Counts without a free record are buffered in memory until there is one.
    """

    def __init__(self, settings: UsageSettings, clock: Callable[[], float] = time.time) -> None:
        self.id = uuid4()  # random, and so unique even if the clock is set back
        self.finished: deque[Segment] = deque()  # oldest first; no request writes to them any more
        self.full = False
        self.segment_needed = asyncio.Event()  # set while there is no next segment
        self._settings = settings
        self._records = settings.records  # of segments to come
        self._clock = clock
        self._numbers = count(1)
        self._current: Segment | None = None
        self._next: Segment | None = None
        self._words = _NO_WORDS  # of the current segment
        self._index: dict[Counted, int] = {}  # into its words
        # The same for this minute by the identity of the principal, since hashing a UUID runs Python code. Principals
        # are kept alive so that no other object gets their identity.
        self._index_by_identity: dict[tuple[int, str, int], int] = {}
        self._kept_alive: list[Principal] = []
        self._minute = 0.0
        self._buffered: dict[Counted, int] = {}

    def open(self) -> None:
        """Create the folder and a first segment. Raises UsageFolderUnusable."""
        folder = self._settings.folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._next = self._create()
        except (OSError, ValueError) as error:
            advice = f"The usage folder {folder} is unusable ({error}). Set TENANTRY_USAGE_FOLDER to a writable folder."
            raise UsageFolderUnusable(advice) from error

    def count(self, principal: Principal, route: str, status_class: int, cost: int) -> None:
        """Count one request in the current minute of the wall clock."""
        minute = self._clock() // _MINUTE
        if minute != self._minute:
            self._start_minute(minute)
        at = self._index_by_identity.get((id(principal), route, status_class))
        if at is None:
            self._count_first(principal, route, status_class, cost)
        else:
            self._words[at] += packed_count(cost)

    def finish_current(self) -> None:
        """Finish the current segment, so that it can be written to PostgreSQL. The next request begins another one."""
        if self._current is not None:
            self._adapt_size(self._current)
            self.finished.append(self._current)
            self._use(None)

    def prepare(self) -> None:
        """Create the next segment if there is none. May wait for the disk: call it in a thread."""
        if self._next is not None:
            return
        try:
            self._next = self._create()
        except OSError as error:
            if not self.full:
                _log.error("usage_journal_full", error=str(error), folder=str(self._settings.folder))
            self.full = True
        else:
            self.full = False

    def write_buffered(self) -> None:
        """Store the counts that were buffered in memory, as far as there are free records now."""
        buffered, self._buffered = self._buffered, {}
        for counted, value in buffered.items():
            self._add(counted, value)

    def close(self) -> None:
        """Delete the empty next segment. A request that ends later is counted, for the next worker to find."""
        if self._next is not None:
            self._next.discard()
            self._next = None

    def _count_first(self, principal: Principal, route: str, status_class: int, cost: int) -> None:
        ids = principal.tenant.id.bytes, principal.id.bytes
        counted = Counted(int(self._minute), *ids, route, status_class, principal.kind)
        at = self._add(counted, packed_count(cost))
        if at is None:
            return
        if len(self._kept_alive) >= self._records:  # few principals, but new objects for every request
            self._start_minute(self._minute)
        self._index_by_identity[id(principal), route, status_class] = at
        self._kept_alive.append(principal)

    def _start_minute(self, minute: float) -> None:
        self._minute, self._index_by_identity, self._kept_alive = minute, {}, []

    def _add(self, counted: Counted, value: int) -> int | None:
        """The index of the record; None when the count had to be buffered."""
        at = self._index.get(counted)
        if at is not None:
            self._words[at] += value
            return at
        if self._current is None or self._current.full:
            self._rotate()
        if self._current is None:
            self._buffered[counted] = self._buffered.get(counted, 0) + value
            return None
        at = self._index[counted] = self._current.add_record(counted, value)
        return at

    def _rotate(self) -> None:
        self.finish_current()
        following, self._next = self._next, None
        self.segment_needed.set()
        try:
            self._use(following or self._create())
        except OSError as error:
            self.full = True
            if not self._buffered:  # once, not for every request
                _log.error("usage_buffered_in_memory", error=str(error), folder=str(self._settings.folder))

    def _use(self, segment: Segment | None) -> None:
        self._current, self._index = segment, {}
        self._words = segment.words if segment else _NO_WORDS
        self._start_minute(self._minute)

    def _adapt_size(self, segment: Segment) -> None:
        """Make segments large enough for the counts between two flushes, so that each needs one record."""
        if segment.full:
            self._records = min(self._records * _GROWTH, max(_MAX_RECORDS, self._settings.records))
        elif segment.used * _GROWTH * _GROWTH < self._records:
            self._records = max(self._records // _GROWTH, self._settings.records)

    def _create(self) -> Segment:
        waiting = [*self.finished, *([self._current] if self._current is not None else [])]
        held = sum(segment.bytes for segment in waiting)
        if len(waiting) >= _MIN_SEGMENTS and held + file_bytes(self._records) > self._settings.journal_bytes:
            raise OSError(f"{held:,} bytes wait to be written to PostgreSQL, which is the maximum")
        return Segment.create(self._settings.folder, self.id, self._numbers, self._records)
