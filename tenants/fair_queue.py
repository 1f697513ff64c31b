"""Queues that are served fairly between sources, so that a flood delays only its own source."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from tenants.errors import RateLimited, Unavailable

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """A queue for each source, served in turn, so that a long queue delays only its own source."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Item]] = {}
        self._turns: deque[Hashable] = deque()  # sources with items, the next one first
        self._count = 0

    def __len__(self) -> int:
        """Number of items of all sources."""
        return self._count

    def length(self, source: Hashable) -> int:
        """Number of items of this source."""
        return len(self._queues.get(source, ()))

    def put(self, source: Hashable, item: Item) -> None:
        """Append an item to the queue of this source."""
        queue = self._queues.get(source)
        if queue is None:
            queue = self._queues[source] = deque()
            self._turns.append(source)
        queue.append(item)
        self._count += 1

    def discard(self, source: Hashable, item: Item) -> None:
        """Remove an item, if it is there."""
        queue = self._queues.get(source, ())
        if item not in queue:
            return
        self._queues[source].remove(item)
        self._count -= 1
        if not queue:
            del self._queues[source]
            self._turns.remove(source)

    def take(self, most: int) -> list[Item]:
        """The next items, at most ``most``: one of each source, then another of each."""
        taken: list[Item] = []
        while self._turns and len(taken) < most:
            source = self._turns.popleft()
            queue = self._queues[source]
            taken.append(queue.popleft())
            if queue:
                self._turns.append(source)
            else:
                del self._queues[source]
        self._count -= len(taken)
        return taken


class FairSlots:
    """At most ``slots`` callers work at once. The others wait in turns: of their lanes, and in a lane of the sources.

    At most ``most`` callers of a lane wait, so that no lane is closed by a flood in another one, and ``most_of_one`` of
    one source in it: further ones are refused at once. Lanes are few, and named by the program.
    """

    def __init__(self, slots: int, *, most: int, most_of_one: int, longest_wait: float) -> None:
        self._slots = slots
        self._most = most
        self._most_of_one = most_of_one
        self._longest_wait = longest_wait  # seconds
        self._used = 0
        self._turns: FairQueue[Hashable] = FairQueue()  # of lanes: one for each caller that waits
        self._lanes: defaultdict[Hashable, FairQueue[asyncio.Future[None]]] = defaultdict(FairQueue)

    @property
    def callers(self) -> int:
        """Number of callers that work or wait."""
        return self._used + len(self._turns)

    @asynccontextmanager
    async def held(self, source: Hashable, lane: Hashable = None) -> AsyncIterator[None]:
        """Hold a slot. Raises what ``acquire`` raises."""
        await self.acquire(source, lane)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, source: Hashable, lane: Hashable = None) -> None:
        """Wait for a slot, which ends with ``release``.

        Raises RateLimited when too many of this source wait, Unavailable when too many of its lane do, or for too long.
        """
        if self._used < self._slots:  # nobody waits: ``release`` hands a slot over before it frees it
            self._used += 1
            return
        if self._lanes[lane].length(source) >= self._most_of_one:
            raise RateLimited(detail="too many requests of one source wait for a slot")
        if len(self._lanes[lane]) >= self._most:
            raise Unavailable(detail="too many requests wait for a slot")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.put(lane, lane)
        self._lanes[lane].put(source, turn)
        try:
            async with asyncio.timeout(self._longest_wait):
                await turn
        except TimeoutError as error:
            self._abandon(turn)
            raise Unavailable(detail="no slot in time") from error
        except asyncio.CancelledError:
            self._abandon(turn)
            raise

    def release(self) -> None:
        """End the work of a caller, and hand its slot to the next one that still waits."""
        while self._turns:
            (lane,) = self._turns.take(1)
            (turn,) = self._lanes[lane].take(1)
            if not turn.done():
                turn.set_result(None)
                return
        self._used -= 1

    def _abandon(self, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():  # a slot came at the same time
            self.release()
