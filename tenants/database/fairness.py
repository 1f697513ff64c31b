"""Fair shares of a process's connections, so that one tenant's flood leaves room for all others (IS10).

A tenant may take a connection while it holds fewer than twice as many as are free. A single tenant gets some two thirds
of them, and one is nearly always left for a tenant that holds none; the more tenants are active, the fewer each holds.
Source of the rule: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM
Transactions on Networking 6(2), 1998. If one tenant could take all connections, the next would wait for the end of its
statements, which takes seconds when they are slow.
"""

import asyncio
from collections import OrderedDict

from tenants.database.names import CONTROL_SCHEMA
from tenants.errors import Unavailable

SYSTEM = CONTROL_SCHEMA  # work for no tenant, such as looking up a credential
_MANAGEMENT = f"{CONTROL_SCHEMA} "  # followed by the schema of the tenant that is managed
_PER_FREE_SLOT = 2  # slots that a tenant may hold for each free one

_Waiter = asyncio.Future[None]


def management_of(schema: str) -> str:
    """The holder of slots for managing a tenant: its keys must be revocable while its data traffic holds its slots."""
    return _MANAGEMENT + schema


class FairShares:
    """Slots of connections, each held by a tenant's schema, by its management, or by ``SYSTEM``.

    ``reserved`` slots are kept for ``SYSTEM``, and for the first of each tenant's management: data of any number of
    tenants never holds them (TH10).

    Waiting schemas are served round robin, the requests of one schema in order. ``take`` does not suspend when a slot
    is free.
    """

    def __init__(self, slots: int, *, max_wait: float, longest_queue: int, reserved: int = 0) -> None:
        """``max_wait``: seconds that a request may wait. ``longest_queue``: requests of one schema that may wait."""
        self._free = slots
        self._reserved = reserved
        self._max_wait = max_wait
        self._longest_queue = longest_queue
        self._held: dict[str, int] = {}
        # The next to serve is first. None of them may take a slot until one is given back.
        self._waiting: OrderedDict[str, OrderedDict[_Waiter, None]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return sum(len(queue) for queue in self._waiting.values())

    async def take(self, schema: str) -> None:
        """Take a slot, which ``give_back`` must return.

        Raises Unavailable when no slot becomes free in time, or when too many requests of the schema wait already.
        """
        if self._may_take(schema):
            self._hold(schema)
        else:
            await self._wait(schema)

    def give_back(self, schema: str) -> None:
        """Return the slot that ``take`` took."""
        self._free += 1
        self._held[schema] -= 1
        if not self._held[schema]:
            del self._held[schema]
        while self._waiting and (following := self._next()) is not None:
            self._serve(following)

    def _may_take(self, schema: str) -> bool:
        available, held = self._free, self._held.get(schema, 0)
        if schema != SYSTEM and (held or not schema.startswith(_MANAGEMENT)):
            available -= max(0, self._reserved - self._held.get(SYSTEM, 0))
        return held < _PER_FREE_SLOT * available

    def _hold(self, schema: str) -> None:
        self._free -= 1
        self._held[schema] = self._held.get(schema, 0) + 1

    async def _wait(self, schema: str) -> None:
        queue = self._waiting.setdefault(schema, OrderedDict())
        if len(queue) >= self._longest_queue:
            raise Unavailable(detail=f"{len(queue)} requests of the tenant wait for a connection already")
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        queue[waiter] = None
        timer = loop.call_later(self._max_wait, _time_out, waiter)
        try:
            await waiter
        except BaseException:
            self._withdraw(schema, waiter)
            raise
        finally:
            timer.cancel()

    def _withdraw(self, schema: str, waiter: _Waiter) -> None:
        if _was_served(waiter):  # at the moment of the cancellation: the slot must not be lost
            self.give_back(schema)
            return
        queue = self._waiting.get(schema, OrderedDict())
        queue.pop(waiter, None)
        if not queue:
            self._waiting.pop(schema, None)

    def _next(self) -> str | None:
        return next((schema for schema in self._waiting if self._may_take(schema)), None)

    def _serve(self, schema: str) -> None:
        queue = self._waiting.pop(schema)
        waiter, _ = queue.popitem(last=False)
        if queue:
            self._waiting[schema] = queue  # at the end of the round
        if not waiter.done():  # else it has timed out or was cancelled, and its task has not run since
            self._hold(schema)
            waiter.set_result(None)


def _was_served(waiter: _Waiter) -> bool:
    return waiter.done() and not waiter.cancelled() and waiter.exception() is None


def _time_out(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(Unavailable(detail="no connection became free in time"))
