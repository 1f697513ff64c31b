"""Counts the decisions of the gate by principal, permission and outcome.

A decision costs a look-up and an addition; a background task adds the counts to PostgreSQL. They are kept to judge
changes of roles, not to bill: what a killed process has counted since its last batch is lost. What exceeds the bounds
of memory is counted as dropped, for its tenant and in the metrics. What PostgreSQL does not take now stays in memory.
"""

from collections import Counter
from collections.abc import Sequence

import structlog

from tenants.database.sessions import Database
from tenants.decisions import repository
from tenants.decisions.models import NO_PRINCIPAL
from tenants.decisions.repository import Counted, Counts
from tenants.errors import Unavailable
from tenants.identifiers import TenantId
from tenants.periodic import Periodic
from tenants.principal import Principal, PrincipalKind

_FLUSH = 15.0  # seconds
_BATCH = 1_000  # rows of one transaction: some 30 ms of PostgreSQL
MOST = 20_000  # pairs of a principal and a permission in memory: some 8 MB
_SHARE = 4  # one tenant has at most this part of them, so that its flood does not displace others

_Cell = list[int]  # decisions: allowed, denied

_log = structlog.get_logger(__name__)


class DecisionRecorder:
    """One per process. ``allowed`` and ``denied`` never wait and never fail.

    Cells are found by the identity of the principal first: hashing its id runs Python code. Principals are kept alive
    until the next batch, so that no other object gets their identity.
    """

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most
        self._cells: dict[Counted, _Cell] = {}
        self._pairs_of: Counter[TenantId] = Counter()  # pairs in ``_cells``
        self._by_identity: dict[tuple[int, str], _Cell] = {}
        self._kept_alive: list[Principal] = []
        self._flushes = Periodic("decision-counts", _FLUSH, self.flush)
        self._is_down = False
        self.recorded = 0  # decisions that are in the table
        self.dropped = 0  # those that are not, or without their principal: too many pairs at once

    @property
    def waiting(self) -> int:
        """Decisions that wait for their batch."""
        return sum(map(sum, self._cells.values()))

    def allowed(self, principal: Principal, permission: str) -> None:
        """Count a decision."""
        cell = self._by_identity.get((id(principal), permission))
        if cell is None:
            cell = self._find(principal, permission)
        cell[0] += 1

    def denied(self, principal: Principal, permission: str) -> None:
        """Count a decision."""
        cell = self._by_identity.get((id(principal), permission))
        if cell is None:
            cell = self._find(principal, permission)
        cell[1] += 1

    def start(self) -> None:
        """Begin to write batches."""
        self._flushes.start()

    async def close(self) -> None:
        """Write what is left, if PostgreSQL takes it now."""
        await self._flushes.close()
        await self.flush()

    async def flush(self) -> None:
        """Write all counts, in batches. What PostgreSQL does not take now is written by a later flush."""
        rows = list(self._cells.items())
        self._cells, self._by_identity, self._kept_alive = {}, {}, []
        self._pairs_of.clear()
        for start in range(0, len(rows), _BATCH):
            if not await self._is_settled(rows[start : start + _BATCH]):
                self._put_back(rows[start:])
                return

    def _find(self, principal: Principal, permission: str) -> _Cell:
        """The cell of a pair that was not asked for since the last batch, or by another object for the principal."""
        if principal.kind is PrincipalKind.OPERATOR:
            return [0, 0]  # staff are in the audit log, and in no role of the tenant
        counted = Counted(principal.tenant.id, principal.id, permission)
        cell = self._cells.get(counted) or self._new(counted)
        if cell is None:
            self.dropped += 1
            return [0, 0]
        if len(self._by_identity) >= 2 * self._most:  # few principals, but new objects for every request
            self._by_identity, self._kept_alive = {}, []
        self._by_identity[id(principal), permission] = cell
        self._kept_alive.append(principal)
        return cell

    def _new(self, counted: Counted) -> _Cell | None:
        """Add a cell, or find that of decisions without their principal. None when there are too many of these, too."""
        if not self._fits(counted.tenant):
            counted = Counted(counted.tenant, NO_PRINCIPAL, "")
            if counted in self._cells:
                return self._cells[counted]
            if len(self._cells) >= 2 * self._most:  # of as many tenants
                return None
        elif len(self._cells) == self._most // 2 and not self._is_down:
            self._flushes.hurry()
        self._pairs_of[counted.tenant] += 1
        cell = self._cells[counted] = [0, 0]
        return cell

    def _fits(self, tenant: TenantId) -> bool:
        return len(self._cells) < self._most and self._pairs_of[tenant] < max(self._most // _SHARE, 1)

    async def _is_settled(self, rows: Sequence[tuple[Counted, _Cell]]) -> bool:
        """Write a batch. False when it has to be tried again."""
        count = sum(sum(cell) for _, cell in rows)
        try:
            async with self._database.control() as session:
                await repository.add(session, [(counted, Counts(*cell)) for counted, cell in rows])
        except Unavailable as error:
            if not self._is_down:
                _log.warning("decision_counts_unavailable", error=error.detail)
            self._is_down = True
            return False
        except Exception as error:  # noqa: BLE001 - no error may end the task
            _log.error("decision_counts_refused", rows=len(rows), error=f"{type(error).__name__}: {error}")
            self.dropped += count
        else:
            unassigned = sum(sum(cell) for counted, cell in rows if counted.principal == NO_PRINCIPAL)
            self.recorded += count - unassigned
            self.dropped += unassigned
        self._is_down = False
        return True

    def _put_back(self, rows: Sequence[tuple[Counted, _Cell]]) -> None:
        for counted, (allowed, denied) in rows:
            cell = self._cells.get(counted) or self._new(counted)
            if cell is None:
                self.dropped += allowed + denied
                continue
            cell[0] += allowed
            cell[1] += denied
