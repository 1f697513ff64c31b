"""Refusals worth knowing: a key that is used from a refused address, a revoked key, a wrong password of a member.

A caller can cause any number of them. So a refusal costs a look-up in a dictionary, and a background task writes at
most one row a minute for each tenant, action and object, with the number of refusals that it stands for. The bound is
that of one process. What a killed process has counted since its last row is lost, and nothing else: what exceeds the
bounds of memory is counted in the metrics.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import structlog

from tenants.audit.origin import Origin
from tenants.audit.service import record
from tenants.database.sessions import ControlSession, Database
from tenants.errors import Unavailable
from tenants.events.models import Category
from tenants.identifiers import TenantId
from tenants.periodic import Periodic

_INTERVAL = 60.0  # seconds from one row of a kind to the next
_FLUSH, _RETRY = 1.0, 5.0  # seconds
_MOST = 10_000  # tenants, actions and objects of which something is remembered

_log = structlog.get_logger(__name__)


class Refusal(NamedTuple):
    """What is counted together."""

    tenant: TenantId
    action: str
    object_id: UUID


@dataclass(slots=True)
class _Counted:
    """Refusals of one kind since their last row. ``origin`` is that of the first; None while there is none."""

    origin: Origin | None = None
    count: int = 0
    due: float = float("-inf")  # not before this time is the next row written


class Refusals:
    """One per process. ``note`` never waits and never fails."""

    def __init__(self, database: Database, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._most = most
        self._clock = clock
        self._counted: dict[Refusal, _Counted] = {}
        self._flushes = Periodic("audit-refusals", _FLUSH, self.flush)
        self.recorded = 0  # refusals that are in the audit logs
        self.dropped = 0  # those that are not: too many kinds at once, or a tenant that is gone

    @property
    def waiting(self) -> int:
        """Refusals that wait for their row."""
        return sum(counted.count for counted in self._counted.values())

    def note(self, tenant: TenantId, action: str, object_id: UUID, origin: Origin) -> None:
        """Count a refusal."""
        refusal = Refusal(tenant, action, object_id)
        counted = self._counted.get(refusal)
        if counted is None:
            if len(self._counted) >= self._most:
                self.dropped += 1
                return
            counted = self._counted[refusal] = _Counted()
        counted.origin = counted.origin or origin
        counted.count += 1

    def start(self) -> None:
        """Begin to write rows."""
        self._flushes.start()

    async def close(self) -> None:
        """Write what is left, also what is not due. A row that is being written is completed."""
        await self._flushes.close()
        await self.flush(everything=True)

    async def flush(self, *, everything: bool = False) -> None:
        """Write the rows that are due. What PostgreSQL does not take now is written by a later one."""
        now = self._clock()
        for refusal in [each for each, counted in self._counted.items() if everything or counted.due <= now]:
            counted = self._counted.pop(refusal, None)
            if counted is None or counted.origin is None:
                continue  # none since the last row
            self._counted[refusal] = since = _Counted(due=now + _INTERVAL)  # what is noted while the row is written
            if not await self._is_settled(refusal, counted.origin, counted.count):
                since.origin, since.count, since.due = counted.origin, since.count + counted.count, now + _RETRY
                return

    async def _is_settled(self, refusal: Refusal, origin: Origin, count: int) -> bool:
        """Write the row. False when it has to be tried again."""
        try:
            async with self._database.control() as session:
                await _record(session, refusal, origin, count)
        except Unavailable as error:
            _log.warning("refusals_not_recorded", waiting=self.waiting + count, error=error.detail)
            return False
        except Exception as error:  # noqa: BLE001 - no error may end the task
            _log.error("refusal_not_recorded", action=refusal.action, error=f"{type(error).__name__}: {error}")
            self.dropped += count
        else:
            self.recorded += count
        return True


async def _record(session: ControlSession, refusal: Refusal, origin: Origin, count: int) -> None:
    tenant, action, object_id = refusal
    await record(session, tenant, origin, action, object_id, after={"count": count}, category=Category.ACCESS)
