"""SQL of the control table ``tenants``, and the owner's functions that make and drop a tenant's rooms."""

from collections.abc import Sequence

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from tenants.database.sessions import ControlSession
from tenants.directory.errors import SlugTaken, UnknownPlan
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId

_PROVISION = text("SELECT tenantry.provision_tenant(:tenant)")
_DROP = text("SELECT tenantry.drop_tenant(:tenant)")


async def add(session: ControlSession, tenant: TenantId, slug: str, name: str, plan: str) -> Tenant:
    """The row, then its schema and role, in this transaction: there is never one without the other (IS8).

    Raises SlugTaken and UnknownPlan.
    """
    values = {"id": tenant, "slug": slug, "name": name, "plan_code": plan}
    added = insert(Tenant).values(values).on_conflict_do_nothing(index_elements=[Tenant.slug]).returning(Tenant)
    try:
        row = await session.scalar(added)
    except IntegrityError as error:
        raise _plan_error(error) from error
    if row is None:
        raise SlugTaken
    await session.execute(_PROVISION, {"tenant": tenant})
    return row


async def find(session: ControlSession, tenant: TenantId, *, lock: bool = False) -> Tenant | None:
    """One tenant; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(Tenant).where(Tenant.id == tenant)
    return await session.scalar(query.with_for_update() if lock else query)


async def find_by_slug(session: ControlSession, slug: str) -> Tenant | None:
    """One tenant by the name that people use."""
    return await session.scalar(select(Tenant).where(Tenant.slug == slug))


async def page(session: ControlSession, after: TenantId | None, count: int) -> Sequence[Tenant]:
    """At most ``count`` tenants, the newest first, after the one named (ids sort by the time of making)."""
    query = select(Tenant).order_by(Tenant.id.desc()).limit(count)
    if after is not None:
        query = query.where(Tenant.id < after)
    return (await session.scalars(query)).all()


async def set_plan(session: ControlSession, tenant: Tenant, plan: str) -> None:
    """Raises UnknownPlan."""
    tenant.plan_code = plan
    try:
        await session.flush()
    except IntegrityError as error:
        raise _plan_error(error) from error


async def remove(session: ControlSession, tenant: TenantId) -> None:
    """The row and all that hangs on it, then schema and role."""
    await session.execute(delete(Tenant).where(Tenant.id == tenant))
    await session.execute(_DROP, {"tenant": tenant})


def _plan_error(error: IntegrityError) -> Exception:
    return UnknownPlan() if isinstance(error.orig, ForeignKeyViolation) else error
