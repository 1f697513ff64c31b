"""A worker's own counts, from the request that is counted to the segments that wait to be rolled up.

Everything but ``prepare`` runs on the event loop's thread and waits for nothing.
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
from gateway.usage.layout import word
from gateway.usage.segment import Segment, file_bytes
from gateway.usage.settings import UsageSettings
from tenants.principal import Principal

_MINUTE = 60  # seconds
_LEAST_SEGMENTS = 3  # one that is written, one at hand, one that waits
_GROWTH = 4  # times as many slots as in a segment that was full before it was cut
_MOST_SLOTS = 2**14  # 3 MB

_NO_WORDS = memoryview(bytearray()).cast("Q")

_log = structlog.get_logger(__name__)


class Journal:
    """``count`` has stored a request when it returns. ``full`` says that no more should be admitted.

    The next segment is always made ahead, so that no request waits for a file; when it cannot be made, the requests in
    hand still have the rest of the current one. What finds no slot even so is kept in memory until there is room.
    """

    def __init__(self, settings: UsageSettings, clock: Callable[[], float] = time.time) -> None:
        self.id = uuid4()  # random, not by the clock: unique whatever the clock says
        self.finished: deque[Segment] = deque()  # the earliest first; no request writes to them any more
        self.full = False
        self.wanted = asyncio.Event()  # set while no next segment is at hand
        self._settings = settings
        self._slots = settings.slots  # of segments to come
        self._clock = clock
        self._numbers = count(1)
        self._current: Segment | None = None
        self._next: Segment | None = None
        self._words = _NO_WORDS  # of the current segment, as are the next two
        self._at: dict[Counted, int] = {}  # index in its words
        # The same for this minute by the principal's identity, whose hash costs nothing; UUIDs hash in Python. What is
        # held cannot lend its identity to another.
        self._fast: dict[tuple[int, str, int], int] = {}
        self._held: list[Principal] = []
        self._minute = 0.0
        self._unwritten: dict[Counted, int] = {}

    def open(self) -> None:
        """Make the folder and a first segment. Raises UsageFolderUnusable."""
        folder = self._settings.folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._next = self._create()
        except (OSError, ValueError) as error:
            advice = f"the usage folder {folder} cannot be used ({error}): set TENANTRY_USAGE_FOLDER to one that can"
            raise UsageFolderUnusable(advice) from error

    def count(self, principal: Principal, route: str, status_class: int, cost: int) -> None:
        """Count one request, in the minute that the wall clock shows."""
        minute = self._clock() // _MINUTE
        if minute != self._minute:
            self._forget(minute)
        at = self._fast.get((id(principal), route, status_class))
        if at is None:
            self._count_first(principal, route, status_class, cost)
        else:
            self._words[at] += word(cost)

    def cut(self) -> None:
        """Let what was counted so far be rolled up: the next request begins another segment."""
        if self._current is not None:
            self._fit(self._current)
            self.finished.append(self._current)
            self._use(None)

    def prepare(self) -> None:
        """Make the next segment when none is at hand. May wait for the disk: call it in a thread."""
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

    def settle(self) -> None:
        """Write what had to be kept in memory, as far as there is room now."""
        waiting, self._unwritten = self._unwritten, {}
        for counted, value in waiting.items():
            self._add(counted, value)

    def close(self) -> None:
        """Give back what holds nothing. A request that ends even later is counted, for the next worker to find."""
        if self._next is not None:
            self._next.discard()
            self._next = None

    def _count_first(self, principal: Principal, route: str, status_class: int, cost: int) -> None:
        ids = principal.tenant.id.bytes, principal.id.bytes
        counted = Counted(int(self._minute), *ids, route, status_class, principal.kind)
        at = self._add(counted, word(cost))
        if at is None:
            return
        if len(self._held) >= self._slots:  # objects of a few callers, made anew for every request
            self._forget(self._minute)
        self._fast[id(principal), route, status_class] = at
        self._held.append(principal)

    def _forget(self, minute: float) -> None:
        self._minute, self._fast, self._held = minute, {}, []

    def _add(self, counted: Counted, value: int) -> int | None:
        """The slot's index; None when it had to be kept in memory."""
        at = self._at.get(counted)
        if at is not None:
            self._words[at] += value
            return at
        if self._current is None or self._current.full:
            self._turn()
        if self._current is None:
            self._unwritten[counted] = self._unwritten.get(counted, 0) + value
            return None
        at = self._at[counted] = self._current.open_slot(counted, value)
        return at

    def _turn(self) -> None:
        self.cut()
        following, self._next = self._next, None
        self.wanted.set()
        try:
            self._use(following or self._create())
        except OSError as error:
            self.full = True
            if not self._unwritten:  # once, not for every request
                _log.error("usage_kept_in_memory", error=str(error), folder=str(self._settings.folder))

    def _use(self, segment: Segment | None) -> None:
        self._current, self._at = segment, {}
        self._words = segment.words if segment else _NO_WORDS
        self._forget(self._minute)

    def _fit(self, segment: Segment) -> None:
        """Make segments as large as what is counted between two roll-ups, so that each caller opens a slot once."""
        if segment.full:
            self._slots = min(self._slots * _GROWTH, max(_MOST_SLOTS, self._settings.slots))
        elif segment.used * _GROWTH * _GROWTH < self._slots:
            self._slots = max(self._slots // _GROWTH, self._settings.slots)

    def _create(self) -> Segment:
        waiting = [*self.finished, *([self._current] if self._current is not None else [])]
        held = sum(segment.bytes for segment in waiting)
        if len(waiting) >= _LEAST_SEGMENTS and held + file_bytes(self._slots) > self._settings.journal_bytes:
            raise OSError(f"{held:,} bytes wait to be rolled up, and there may be no more")
        return Segment.create(self._settings.folder, self.id, self._numbers, self._slots)
