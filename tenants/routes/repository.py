"""SQL of the control table ``route_versions``."""

from collections.abc import Collection, Sequence

from sqlalchemy import BigInteger, Text, cast, delete, func, literal, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import defer

from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.routes.models import RouteVersion

KEPT = 10  # earlier versions, to roll back to
_LOCK = int.from_bytes(b"routes")  # number of the advisory lock

_TARGETS_OF = "$.upstreams[*].by_tenant.keyvalue() ? (@.key == $slug)"
_NEWEST = select(RouteVersion).order_by(RouteVersion.number.desc())
_COLUMNS = tuple(RouteVersion.__table__.c)
_CURRENT = prepare(select(*_COLUMNS).order_by(RouteVersion.number.desc()).limit(1))


async def lock(session: ControlSession) -> None:
    """Serialise changes until the transaction ends: of two at once, the second begins with what the first has made."""
    await session.execute(select(func.pg_advisory_xact_lock(literal(_LOCK, BigInteger))))


async def current(session: ControlSession) -> RouteVersion | None:
    """The version in force."""
    return await session.scalar(_NEWEST.limit(1))


async def read_current(reads: Work) -> RouteVersion | None:
    """The version in force, in one statement without a session."""
    names = [column.name for column in _COLUMNS]
    rows = await reads.rows(_CURRENT, {})
    return RouteVersion(**dict(zip(names, rows[0], strict=True))) if rows else None


async def every(session: ControlSession) -> Sequence[RouteVersion]:
    """All versions that are kept, the newest first, without their configurations."""
    return (await session.scalars(_NEWEST.options(defer(RouteVersion.configuration, raiseload=True)))).all()


async def with_slugs(session: ControlSession, slugs: Collection[str]) -> set[str]:
    """Which of these slugs tenants have; none of these tenants is deleted before the transaction ends."""
    query = select(Tenant.slug).where(Tenant.slug.in_(slugs)).order_by(Tenant.slug)
    return set((await session.scalars(query.with_for_update(read=True, key_share=True))).all()) if slugs else set()


async def has_targets(session: ControlSession, slug: str) -> bool:
    """Whether upstreams of the version in force have targets of the tenant with this slug."""
    found = func.jsonb_path_exists(
        RouteVersion.configuration, cast(_TARGETS_OF, JSONPATH), func.jsonb_build_object("slug", cast(slug, Text))
    )
    return bool(await session.scalar(select(found).order_by(RouteVersion.number.desc()).limit(1)))


async def find(session: ControlSession, number: int) -> RouteVersion | None:
    """One version."""
    return await session.get(RouteVersion, number)


async def add(session: ControlSession, version: RouteVersion) -> None:
    """Insert a version, and remove those that are older than the ones to keep."""
    session.add(version)
    await session.flush()
    await session.execute(delete(RouteVersion).where(RouteVersion.number < version.number - KEPT))
