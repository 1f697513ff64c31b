"""SQL of the control table ``tenant_migrations``, as the gateway reads it. Only the owner's functions write it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, and_, select

from migrations.models import State, TenantMigration
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId


@dataclass(frozen=True, slots=True)
class Wanted:
    """The heads of the tenant stream as this code has it, and every revision in it."""

    heads: tuple[str, ...]
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class TenantStanding:
    """Where a tenant's schema stands, where this code wants it, and how the last attempt to bring it there ended."""

    id: TenantId
    slug: str
    state: State
    revisions: tuple[str, ...]
    wanted: tuple[str, ...]
    behind: bool
    attempts: int  # that failed, since one last worked
    error: str | None
    changed_at: datetime


async def page(
    session: ControlSession, wanted: Wanted, keyset: Keyset, *, state: State | None, behind: bool | None
) -> Sequence[TenantStanding]:
    """Tenants by the time of their making, which their ids sort by."""
    query = keyset.of(_standings(wanted), TenantMigration.tenant_id)
    if state is not None:
        query = query.where(TenantMigration.state == state)
    if behind is not None:
        query = query.where(_behind(wanted) if behind else ~_behind(wanted))
    return [_standing(row, wanted) for row in await session.execute(query)]


async def find(session: ControlSession, wanted: Wanted, tenant: TenantId) -> TenantStanding | None:
    """One tenant."""
    row = (await session.execute(_standings(wanted).where(TenantMigration.tenant_id == tenant))).one_or_none()
    return None if row is None else _standing(row, wanted)


def _standings(wanted: Wanted) -> Select[TenantMigration, str, bool]:
    found = select(TenantMigration, Tenant.slug, _behind(wanted))
    return found.join(Tenant, Tenant.id == TenantMigration.tenant_id)


def _behind(wanted: Wanted) -> ColumnElement[bool]:
    """What stands at revisions that this code does not have is past it: during a rollout it is of the next version."""
    revisions = TenantMigration.revisions
    return and_(revisions != list(wanted.heads), revisions.bool_op("<@")(sorted(wanted.known)))


def _standing(row: Row[TenantMigration, str, bool], wanted: Wanted) -> TenantStanding:
    kept, slug, behind = row
    return TenantStanding(
        id=kept.tenant_id,
        slug=slug,
        state=kept.state,
        revisions=tuple(kept.revisions),
        wanted=wanted.heads,
        behind=behind,
        attempts=kept.attempts,
        error=kept.error,
        changed_at=kept.changed_at,
    )
