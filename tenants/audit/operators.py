"""The operators' log: what the SaaS's own staff changes that no tenant's log can keep (AU1, AU2).

Their own keys and the plans belong to no tenant, and a tenant's log ends with the tenant. Rows are written in the
transaction of the change, by a function of the owner that chains them at once: these changes are rare, so they may wait
for one another until the commit (docs/decisions/0046).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tenants.audit import repository
from tenants.audit.chain import OPERATORS_START, ChainedRow
from tenants.audit.models import OperatorEvent
from tenants.audit.origin import Origin
from tenants.audit.repository import OperatorEventFilter
from tenants.audit.service import State
from tenants.audit.verification import BEFORE_ALL, ROWS
from tenants.audit.verifier import ChainEnd, Faults, Verifier
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.errors import NotFound
from tenants.principal import ActorKind

_OPERATORS = frozenset({ActorKind.OPERATOR, ActorKind.CLI})


async def record(
    session: ControlSession,
    origin: Origin,
    action: str,
    object_id: str,
    *,
    before: State | None = None,
    after: State | None = None,
) -> None:
    """Add a row to the operators' log: committed with the change, or not at all.

    ``object_id`` is what the API calls the object. The last statement of a change: it locks the end of the chain until
    the commit, and nothing may be locked after it. States are as those of tenants' logs: never a secret.
    """
    await repository.add_operator_event(session, origin, action=action, object_id=object_id, before=before, after=after)


async def record_by_operator(
    session: ControlSession,
    origin: Origin,
    action: str,
    object_id: str,
    *,
    before: State | None = None,
    after: State | None = None,
) -> None:
    """As ``record``, of a change that others make, too: people sign up, and Stripe changes plans."""
    if origin.actor.kind in _OPERATORS:
        await record(session, origin, action, object_id, before=before, after=after)


@dataclass(frozen=True, slots=True)
class OperatorVerdict:
    """What was found in the operators' log."""

    events: int
    signed: ChainEnd | None  # the last checkpoint, if there is one
    faults: Faults

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults.count


class OperatorLog:
    """Reads and verifies the operators' log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, session: ControlSession, selected: OperatorEventFilter, keyset: Keyset
    ) -> Sequence[OperatorEvent]:
        """A page by time of making."""
        return await repository.operator_events(session, selected, keyset)

    async def read(self, session: ControlSession, event: UUID) -> OperatorEvent:
        """One event. Raises NotFound."""
        found = await repository.operator_event(session, event)
        if found is None:
            raise NotFound
        return found

    async def verify(self, checkpoints: Iterable[ChainEnd]) -> OperatorVerdict:
        """Compute the whole chain again.

        Opens its own transactions, one for each batch. Raises Unavailable when PostgreSQL is unavailable.
        """
        signed = sorted(checkpoints, key=lambda end: end.sequence)
        verifier = Verifier(OPERATORS_START, [*signed, await self._end()])
        after = BEFORE_ALL
        while rows := await self._hashed(after):
            for sequence, digest, *content in rows:
                verifier.feed(ChainedRow(sequence, digest, content))
            after = rows[-1][0]
        faults = verifier.finish((await self._end()).sequence)
        return OperatorVerdict(verifier.events, signed[-1] if signed else None, faults)

    async def _hashed(self, after: int) -> Sequence[Sequence[Any]]:
        async with self._database.control() as session:
            return await repository.hashed_operator_events(session, after, ROWS)

    async def _end(self) -> ChainEnd:
        async with self._database.control() as session:
            sequence, digest, _ = await repository.end_of_operators(session)
        return ChainEnd(sequence, digest)
