"""Fair shares of a process's connections, so that one tenant's flood leaves room for all others (IS10).

A tenant may take a free place while it holds fewer than twice as many as are free. Alone it gets some two thirds of
them, and there is nearly always one left for whoever holds none; the more tenants are at work, the less each may hold.
Source of the rule: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM
Transactions on Networking 6(2), 1998. A tenant that alone could take all would make the next one wait for the end of
its statements, and of slow ones that is seconds.
"""

import asyncio
from collections import OrderedDict

from tenants.database.names import CONTROL_SCHEMA
from tenants.errors import Unavailable

SYSTEM = CONTROL_SCHEMA  # work of our own, for no tenant, such as looking up a credential
_PER_FREE_PLACE = 2  # places that a tenant may hold for each one that is free

_Turn = asyncio.Future[None]


class FairShares:
    """Places on connections, each held for a schema: a tenant's, or ``SYSTEM``, for which ``reserved`` are kept.

    Schemas that wait are served in turn, the requests of one in their own order. Nothing is awaited where there is
    nothing to wait for.
    """

    def __init__(self, places: int, *, patience: float, longest_queue: int, reserved: int = 0) -> None:
        """``patience``: seconds that one may wait. ``longest_queue``: how many may wait for the same schema."""
        self._free = places
        self._reserved = reserved
        self._patience = patience
        self._longest_queue = longest_queue
        self._held: dict[str, int] = {}
        # First whose turn is next. At rest none of them may take a place: only giving one back can change that.
        self._waiting: OrderedDict[str, OrderedDict[_Turn, None]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(len(queue) for queue in self._waiting.values())

    async def take(self, schema: str) -> None:
        """Return with a place, which ``give_back`` must end.

        Raises Unavailable when none becomes free in time, or too many wait for the same schema already.
        """
        if self._may_take(schema):
            self._hold(schema)
        else:
            await self._wait(schema)

    def give_back(self, schema: str) -> None:
        """End what ``take`` began."""
        self._free += 1
        self._held[schema] -= 1
        if not self._held[schema]:
            del self._held[schema]
        while self._waiting and (following := self._next()) is not None:
            self._serve(following)

    def _may_take(self, schema: str) -> bool:
        room = self._free
        if schema != SYSTEM:
            room -= max(0, self._reserved - self._held.get(SYSTEM, 0))
        return self._held.get(schema, 0) < _PER_FREE_PLACE * room

    def _hold(self, schema: str) -> None:
        self._free -= 1
        self._held[schema] = self._held.get(schema, 0) + 1

    async def _wait(self, schema: str) -> None:
        queue = self._waiting.setdefault(schema, OrderedDict())
        if len(queue) >= self._longest_queue:
            raise Unavailable(detail=f"{len(queue)} requests of the tenant wait for a connection already")
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        queue[turn] = None
        giving_up = loop.call_later(self._patience, _give_up, turn)
        try:
            await turn
        except BaseException:
            self._withdraw(schema, turn)
            raise
        finally:
            giving_up.cancel()

    def _withdraw(self, schema: str, turn: _Turn) -> None:
        if _has_come(turn):  # in the very moment of the cancellation: the place must not be lost
            self.give_back(schema)
            return
        queue = self._waiting.get(schema, OrderedDict())
        queue.pop(turn, None)
        if not queue:
            self._waiting.pop(schema, None)

    def _next(self) -> str | None:
        return next((schema for schema in self._waiting if self._may_take(schema)), None)

    def _serve(self, schema: str) -> None:
        queue = self._waiting.pop(schema)
        turn, _ = queue.popitem(last=False)
        if queue:
            self._waiting[schema] = queue  # at the end of the round
        if not turn.done():  # else it was given up, and its waiter has yet to hear of it
            self._hold(schema)
            turn.set_result(None)


def _has_come(turn: _Turn) -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None


def _give_up(turn: _Turn) -> None:
    if not turn.done():
        turn.set_exception(Unavailable(detail="no connection became free in time"))
