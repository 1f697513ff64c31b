"""SQL of the control tables of tenant migrations, read only. The owner's functions write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, and_, false, func, or_, select

from migrations.models import TenantBlueprint
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import MigrationState, Tenant, TenantMigration
from tenants.identifiers import TenantId

_RECORDED = prepare(
    select(TenantBlueprint.revisions, TenantBlueprint.columns).where(TenantBlueprint.columns.is_not(None))
)


@dataclass(frozen=True, slots=True)
class Target:
    """The heads of this code's tenant stream, all its revisions, and the sets of revisions that it cannot serve."""

    heads: tuple[str, ...]
    known: frozenset[str]
    unservable: tuple[tuple[str, ...], ...] = ()  # of those at which there are tenants


@dataclass(frozen=True, slots=True)
class Position:
    """The tenants at the same revisions. ``columns`` are those of their tables; None where they are not recorded."""

    revisions: tuple[str, ...]
    columns: frozenset[str] | None
    tenants: int


@dataclass(frozen=True, slots=True)
class TenantMigrationStatus:
    """The revisions of a tenant's schema, this code's target, and the outcome of the last attempt."""

    id: TenantId
    slug: str
    state: MigrationState
    revisions: tuple[str, ...]
    target: tuple[str, ...]
    behind: bool
    servable: bool  # by this code
    attempts: int  # failed ones since the last success
    error: str | None
    changed_at: datetime


async def recorded_columns(reads: Work) -> list[tuple[tuple[str, ...], frozenset[str]]]:
    """The columns of the tables of tenants, by the revisions of their schemas."""
    return [(tuple(revisions), frozenset(columns)) for revisions, columns in await reads.rows(_RECORDED, {})]


async def positions(session: ControlSession) -> list[Position]:
    """The different revisions at which there are tenants: a handful, however many tenants there are."""
    query = select(TenantMigration.revisions, TenantBlueprint.columns, func.count())
    query = query.outerjoin(TenantBlueprint, TenantBlueprint.revisions == TenantMigration.revisions)
    rows = await session.execute(query.group_by(TenantMigration.revisions, TenantBlueprint.columns))
    return [Position(tuple(at), None if names is None else frozenset(names), count) for at, names, count in rows]


async def page(
    session: ControlSession,
    target: Target,
    keyset: Keyset,
    *,
    state: MigrationState | None,
    behind: bool | None,
    servable: bool | None,
) -> Sequence[TenantMigrationStatus]:
    """A page of tenants by creation time, which is the order of their ids."""
    query = keyset.of(_statuses(target), TenantMigration.tenant_id)
    if state is not None:
        query = query.where(TenantMigration.state == state)
    if behind is not None:
        query = query.where(_behind(target) if behind else ~_behind(target))
    if servable is not None:
        query = query.where(~_unservable(target) if servable else _unservable(target))
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


def _unservable(target: Target) -> ColumnElement[bool]:
    return or_(false(), *(TenantMigration.revisions == list(each) for each in target.unservable))


def _status(row: Row[TenantMigration, str, bool], target: Target) -> TenantMigrationStatus:
    stored, slug, behind = row
    return TenantMigrationStatus(
        id=stored.tenant_id,
        slug=slug,
        state=stored.state,
        revisions=tuple(stored.revisions),
        target=target.heads,
        behind=behind,
        servable=tuple(stored.revisions) not in target.unservable,
        attempts=stored.attempts,
        error=stored.error,
        changed_at=stored.changed_at,
    )
