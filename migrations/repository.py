"""SQL of the control table ``tenant_migrations``, read only. The owner's functions write it."""

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
class Target:
    """The heads of this code's tenant stream, and all its revisions."""

    heads: tuple[str, ...]
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class TenantMigrationStatus:
    """The revisions of a tenant's schema, this code's target, and the outcome of the last attempt."""

    id: TenantId
    slug: str
    state: State
    revisions: tuple[str, ...]
    target: tuple[str, ...]
    behind: bool
    attempts: int  # failed ones since the last success
    error: str | None
    changed_at: datetime


async def page(
    session: ControlSession, target: Target, keyset: Keyset, *, state: State | None, behind: bool | None
) -> Sequence[TenantMigrationStatus]:
    """A page of tenants by creation time, which is the order of their ids."""
    query = keyset.of(_statuses(target), TenantMigration.tenant_id)
    if state is not None:
        query = query.where(TenantMigration.state == state)
    if behind is not None:
        query = query.where(_behind(target) if behind else ~_behind(target))
    return [_status(row, target) for row in await session.execute(query)]


async def find(session: ControlSession, target: Target, tenant: TenantId) -> TenantMigrationStatus | None:
    """One tenant."""
    row = (await session.execute(_statuses(target).where(TenantMigration.tenant_id == tenant))).one_or_none()
    return None if row is None else _status(row, target)


def _statuses(target: Target) -> Select[TenantMigration, str, bool]:
    found = select(TenantMigration, Tenant.slug, _behind(target))
    return found.join(Tenant, Tenant.id == TenantMigration.tenant_id)


def _behind(target: Target) -> ColumnElement[bool]:
    """A schema at revisions unknown to this code is ahead, not behind: during a rollout it is the next version's."""
    revisions = TenantMigration.revisions
    return and_(revisions != list(target.heads), revisions.bool_op("<@")(sorted(target.known)))


def _status(row: Row[TenantMigration, str, bool], target: Target) -> TenantMigrationStatus:
    stored, slug, behind = row
    return TenantMigrationStatus(
        id=stored.tenant_id,
        slug=slug,
        state=stored.state,
        revisions=tuple(stored.revisions),
        target=target.heads,
        behind=behind,
        attempts=stored.attempts,
        error=stored.error,
        changed_at=stored.changed_at,
    )
