"""Records changes of what is in the control schema, in their own transactions (AU1).

A change of data has its row from the shared CRUD service. Everything else that a tenant should know calls ``record``:
its members, roles, keys and plan, its suspension, its sign-ins.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from tenants.audit import repository
from tenants.audit.origin import Origin
from tenants.audit.repository import Change
from tenants.database.sessions import ControlSession
from tenants.events.models import Category
from tenants.events.service import NUMBER_TASK
from tenants.identifiers import TenantId
from tenants.jobs.repository import defer

State = Mapping[str, object]


async def record(
    session: ControlSession,
    tenant: TenantId,
    origin: Origin,
    action: str,
    object_id: UUID,
    *,
    before: State | None = None,
    after: State | None = None,
    category: Category = Category.MANAGEMENT,
) -> None:
    """Add a row to the tenant's audit log: committed with the change, or not at all.

    ``action`` is ``<kind of object>.<what was done>``, such as ``api_keys.revoked``. ``before`` and ``after`` are what
    the API shows of the object; JSON values, times and ids; never a secret or a hash of one. The caller has written the
    tenant's row before. Raises NotFound for a tenant that is gone, Unavailable for one that must be migrated first.
    """
    await record_all(session, tenant, origin, action, [Change(object_id, before, after)], category=category)


async def record_all(
    session: ControlSession,
    tenant: TenantId,
    origin: Origin,
    action: str,
    changes: Sequence[Change],
    *,
    category: Category = Category.MANAGEMENT,
) -> None:
    """As ``record``, a row for each of these objects."""
    if changes:
        await repository.add(session, tenant, origin, changes, category=category, action=action)
        await defer(session, NUMBER_TASK, tenant)
