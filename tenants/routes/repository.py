"""SQL of the control table ``route_versions``."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, delete, func, literal, select
from sqlalchemy.orm import defer

from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.routes.models import RouteVersion

KEPT = 10  # earlier versions, to roll back to
_LOCK = int.from_bytes(b"routes")  # number of the advisory lock

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


async def find(session: ControlSession, number: int) -> RouteVersion | None:
    """One version."""
    return await session.get(RouteVersion, number)


async def add(session: ControlSession, version: RouteVersion) -> None:
    """Insert a version, and remove those that are older than the ones to keep."""
    session.add(version)
    await session.flush()
    await session.execute(delete(RouteVersion).where(RouteVersion.number < version.number - KEPT))
