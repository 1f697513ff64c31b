"""SQL of the control table ``tenants``."""

from collections.abc import Collection, Sequence

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import ARRAY, Integer, Uuid, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from tenants.database.keyset import Keyset
from tenants.database.provisioning import drop_tenant, provision_tenant
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.errors import SlugTaken, UnknownPlan
from tenants.directory.models import Tenant
from tenants.directory.reference import COLUMNS, reference_of
from tenants.identifiers import TenantId
from tenants.principal import TenantRef


async def add(session: ControlSession, tenant: TenantId, slug: str, name: str, plan: str) -> Tenant:
    """Insert the row, then create schema and role, in this transaction: never one without the other (IS8).

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
    await provision_tenant(session, tenant)
    return row


async def find(session: ControlSession, tenant: TenantId, *, lock: bool = False) -> Tenant | None:
    """One tenant; ``lock`` takes a row lock until the transaction ends."""
    query = select(Tenant).where(Tenant.id == tenant)
    return await session.scalar(query.with_for_update() if lock else query)


_REFERENCE = prepare(select(*COLUMNS).where(Tenant.id == bindparam("tenant", type_=Uuid)))


async def find_reference(reads: Work, tenant: TenantId) -> TenantRef | None:
    """What a request needs of a tenant, in one statement without a session."""
    rows = await reads.rows(_REFERENCE, {"tenant": tenant})
    return reference_of(*rows[0]) if rows else None


_ORIGINS = select(Tenant.id, Tenant.allowed_origins).where(func.cardinality(Tenant.allowed_origins) > 0)
_PAGE_OF_ORIGINS = prepare(
    _ORIGINS.where(Tenant.id > bindparam("after", type_=Uuid))
    .order_by(Tenant.id)
    .limit(bindparam("count", type_=Integer))
)
_ORIGINS_OF = prepare(_ORIGINS.where(Tenant.id == any_(bindparam("tenants", type_=ARRAY(Uuid)))))


async def page_of_origins(reads: Work, after: TenantId, count: int) -> list[tuple[TenantId, list[str]]]:
    """Tenants that allow origins, with them, in the order of their ids."""
    return [(row[0], row[1]) for row in await reads.rows(_PAGE_OF_ORIGINS, {"after": after, "count": count})]


async def origins_of(reads: Work, tenants: Collection[TenantId]) -> list[tuple[TenantId, list[str]]]:
    """Those of these tenants that allow origins, with them."""
    return [(row[0], row[1]) for row in await reads.rows(_ORIGINS_OF, {"tenants": list(tenants)})]


async def hold(session: ControlSession, tenant: TenantId) -> None:
    """No change of roles or members of this tenant commits before the transaction ends (see ``serialise``)."""
    await session.execute(select(Tenant.id).where(Tenant.id == tenant).with_for_update(read=True))


async def serialise(session: ControlSession, tenant: TenantId) -> None:
    """Serialise changes of roles and members of this tenant. Rows that refer to the tenant can still be inserted."""
    await session.execute(select(Tenant.id).where(Tenant.id == tenant).with_for_update(key_share=True))


async def requires_mfa(session: ControlSession, tenant: TenantId) -> bool:
    """Whether the tenant requires a second factor now."""
    return bool(await session.scalar(select(Tenant.require_mfa).where(Tenant.id == tenant)))


async def find_by_slug(session: ControlSession, slug: str) -> Tenant | None:
    """One tenant by its slug."""
    return await session.scalar(select(Tenant).where(Tenant.slug == slug))


async def page(session: ControlSession, keyset: Keyset) -> Sequence[Tenant]:
    """A page of tenants by creation time, which is the order of their ids."""
    return (await session.scalars(keyset.of(select(Tenant), Tenant.id))).all()


async def set_plan(session: ControlSession, tenant: Tenant, plan: str) -> None:
    """Set the plan. Raises UnknownPlan."""
    tenant.plan_code = plan
    try:
        await session.flush()
    except IntegrityError as error:
        raise _plan_error(error) from error


async def remove(session: ControlSession, tenant: TenantId) -> None:
    """Delete the row and its dependent rows, then drop schema and role."""
    await session.execute(delete(Tenant).where(Tenant.id == tenant))
    await drop_tenant(session, tenant)


def _plan_error(error: IntegrityError) -> Exception:
    return UnknownPlan() if isinstance(error.orig, ForeignKeyViolation) else error
