"""A tenant's transaction as an ordered group of statements, sent in one round trip.

For work in which no statement needs an earlier one's result in Python: later statements take what they need by SQL,
such as ``INSERT … SELECT`` from the change's ``RETURNING``. Work that has to look before it continues uses a
TenantSession instead.
"""

from collections.abc import Mapping

from tenants.database.names import search_path
from tenants.database.pipeline import Call, Group, Row
from tenants.database.pool import PipelinePool
from tenants.database.statements import Prepared
from tenants.principal import TenantRef


class Pending:
    """The rows of one statement of a group, there once the group is committed."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[Row] | None = None

    @property
    def rows(self) -> list[Row]:
        """What the statement selected or returned. Raises RuntimeError before the commit."""
        if self._rows is None:
            raise RuntimeError("the group is not committed yet: await its commit() first")
        return self._rows

    def fulfil(self, rows: list[Row]) -> None:
        """Set the rows. For the group alone."""
        self._rows = rows


class StatementGroup:
    """Begin, the tenant's statements in order, then those of the control role, commit.

    A tenant's role cannot read the control tables, so that what belongs there, such as a job, is its own part at the
    end. Either all of it is committed or nothing.
    """

    def __init__(self, pool: PipelinePool, tenant: TenantRef) -> None:
        self._pool = pool
        self._tenant = tenant
        self._calls: list[Call] = []
        self._control: list[Call] = []
        self._pending: list[Pending] = []
        self._committed = False

    @property
    def unsent(self) -> bool:
        """Whether it has statements that no commit has sent."""
        return bool(self._pending) and not self._committed

    def add(self, prepared: Prepared, given: Mapping[str, object]) -> Pending:
        """Append a statement of the tenant. Raises ValueError once the control part has begun."""
        if self._control:
            raise ValueError("the control part ends a group: add the tenant's statements before it")
        return self._append(self._calls, prepared, given)

    def add_control(self, prepared: Prepared, given: Mapping[str, object]) -> Pending:
        """Append a statement that runs as the control role, in schema ``tenantry``."""
        return self._append(self._control, prepared, given)

    async def commit(self) -> None:
        """Send the group. Raises as ``PipelinePool.run`` does; then nothing of it is committed, but for Unavailable."""
        self._refuse_if_committed()
        self._committed = True
        role = self._tenant.role.encode()
        group = Group(search_path(self._tenant.schema).encode(), role, self._calls, self._control)
        for pending, rows in zip(self._pending, await self._pool.run(self._tenant.schema, group), strict=True):
            pending.fulfil(rows)

    def _append(self, calls: list[Call], prepared: Prepared, given: Mapping[str, object]) -> Pending:
        self._refuse_if_committed()
        calls.append(prepared.call(given))
        self._pending.append(Pending())
        return self._pending[-1]

    def _refuse_if_committed(self) -> None:
        if self._committed:
            raise ValueError("the group was sent already: a group is one transaction")
