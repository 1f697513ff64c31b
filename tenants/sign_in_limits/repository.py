"""SQL of the control tables of limits, and of the accounts that attempts to sign in name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Exists,
    LargeBinary,
    Text,
    and_,
    any_,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId, UserId
from tenants.members.models import Membership
from tenants.sign_in_limits.limits import PLACE_LIFE, PLACES, AllowanceState
from tenants.sign_in_limits.models import SignInAllowance, SignInPlace
from tenants.users.models import User

_requested_tenant = aliased(Tenant)


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a sign-in attempt."""

    address: str  # as the database compares it
    user: User | None
    tenant: Tenant | None  # None when the person is no member of the requested tenant, or disabled in it
    is_known_place: bool  # a member of the requested tenant has signed in from there
    has_failed: bool  # its network has failed to sign in lately


async def find_account(session: ControlSession, email: str, slug: str, *, place: bytes, failed: bytes) -> Account:
    """The person with this address, and the tenant with this slug if they may sign in to it. Always one query."""
    typed = select(func.lower(email).label("address")).subquery()
    query = (
        select(typed.c.address, User, Tenant, _is_known(place, slug), _is_remembered(failed))
        .select_from(typed)
        .outerjoin(User, func.lower(User.email) == typed.c.address)
        .outerjoin(Tenant, and_(Tenant.slug == slug, _belongs_to()))
    )
    return Account(*(await session.execute(query)).one())


class Claimed(Protocol):
    """An attempt as it is screened: the account that it names, and hashes of where it comes from."""

    @property
    def email(self) -> str: ...
    @property
    def slug(self) -> str: ...
    @property
    def place(self) -> bytes: ...
    @property
    def failed(self) -> bytes: ...


class Seen(NamedTuple):
    """What decides which limits hold for an attempt."""

    address: str  # as the database compares it
    is_known_place: bool
    has_failed: bool
    now: datetime


async def screen(reads: Work, claims: Sequence[Claimed]) -> list[Seen]:
    """What the database has about each of these attempts, in their order; nothing is locked."""
    parameters = {
        "emails": [each.email for each in claims],
        "slugs": [each.slug for each in claims],
        "places": [each.place for each in claims],
        "failures": [each.failed for each in claims],
    }
    rows = await reads.rows(_SCREEN, parameters)
    return [Seen(*row[1:]) for row in sorted(rows, key=lambda row: int(row[0]))]


async def allowances(reads: Work, keys: Sequence[bytes]) -> dict[bytes, datetime]:
    """The times that are stored under these keys; nothing is locked."""
    return {bytes(key): until for key, until in await reads.rows(_ALLOWANCES, {"keys": keys})}


async def lock_limits(session: ControlSession, account: bytes, tenant: bytes) -> None:
    """Serialise attempts on this account and this tenant, whose rows need not exist."""
    locks = (func.pg_advisory_xact_lock(literal(_lock_number(key), BigInteger)) for key in (account, tenant))
    await session.execute(select(*locks))


async def read_limits(session: ControlSession, account: bytes, tenant: bytes, turn: bytes) -> AllowanceState:
    """What is stored for an attempt. The caller holds the locks."""
    stored = [select(SignInAllowance.until).where(SignInAllowance.key == key) for key in (account, tenant, turn)]
    query = select(_clock, *(each.scalar_subquery() for each in stored))
    now, *until = (await session.execute(query)).one()
    of_account, of_tenant, of_turn = until
    return AllowanceState(now, of_account or now, of_tenant or now, of_turn)


async def charge(session: ControlSession, *charges: tuple[bytes, timedelta]) -> None:
    """Add an interval to each of these allowances."""
    added = insert(SignInAllowance).values([{"key": key, "until": func.now() + interval} for key, interval in charges])
    until = func.greatest(SignInAllowance.until, func.now()) + (added.excluded.until - func.now())
    await session.execute(added.on_conflict_do_update(index_elements=[SignInAllowance.key], set_={"until": until}))


async def give_back(session: ControlSession, key: bytes, interval: timedelta) -> None:
    """Take an interval off an allowance."""
    charged = update(SignInAllowance).where(SignInAllowance.key == key)
    await session.execute(charged.values(until=SignInAllowance.until - interval))


async def remember(session: ControlSession, key: bytes, until: datetime) -> None:
    """Store this time, in place of an earlier one."""
    added = insert(SignInAllowance).values(key=key, until=until)
    await session.execute(
        added.on_conflict_do_update(index_elements=[SignInAllowance.key], set_={"until": added.excluded.until})
    )


async def forget(session: ControlSession, key: bytes) -> None:
    """Delete a stored time."""
    await session.execute(delete(SignInAllowance).where(SignInAllowance.key == key))


async def remember_place(session: ControlSession, user: UserId, tenant: TenantId, place: bytes) -> None:
    """Store where this member has signed in from now, and drop all but the latest places."""
    mine = (SignInPlace.user_id == user, SignInPlace.tenant_id == tenant)
    added = insert(SignInPlace).values(user_id=user, tenant_id=tenant, place=place, seen_at=func.now())
    primary = [SignInPlace.user_id, SignInPlace.tenant_id, SignInPlace.place]
    await session.execute(added.on_conflict_do_update(index_elements=primary, set_={"seen_at": added.excluded.seen_at}))
    latest = select(SignInPlace.place).where(*mine).order_by(SignInPlace.seen_at.desc()).limit(PLACES)
    await session.execute(delete(SignInPlace).where(*mine, SignInPlace.place.not_in(latest)))


async def delete_old_limits(session: ControlSession, age: timedelta) -> None:
    """Delete times that passed so long ago."""
    await session.execute(delete(SignInAllowance).where(SignInAllowance.until < func.now() - age))


async def delete_old_places(session: ControlSession) -> None:
    """Delete places from which nobody has signed in for long."""
    await session.execute(delete(SignInPlace).where(SignInPlace.seen_at < func.now() - PLACE_LIFE))


def _is_known(place: bytes | ColumnElement[bytes], slug: str | ColumnElement[str]) -> Exists:
    known = exists().where(SignInPlace.tenant_id == _requested_tenant.id, SignInPlace.place == place)
    return known.where(_requested_tenant.slug == slug, SignInPlace.seen_at > func.now() - PLACE_LIFE)


def _is_remembered(key: bytes | ColumnElement[bytes]) -> Exists:
    return exists().where(SignInAllowance.key == key, SignInAllowance.until > func.now())


_clock = func.clock_timestamp(type_=DateTime(timezone=True))
_claims = (
    func.unnest(
        bindparam("emails", type_=ARRAY(Text)),
        bindparam("slugs", type_=ARRAY(Text)),
        bindparam("places", type_=ARRAY(LargeBinary)),
        bindparam("failures", type_=ARRAY(LargeBinary)),
    )
    .table_valued(
        column("email", Text),
        column("slug", Text),
        column("place", LargeBinary),
        column("failed", LargeBinary),
        with_ordinality="position",
    )
    .render_derived()
)
_SCREEN = prepare(
    select(
        _claims.c.position,
        func.lower(_claims.c.email),
        _is_known(_claims.c.place, _claims.c.slug),
        _is_remembered(_claims.c.failed),
        _clock,
    )
)
_ALLOWANCES = prepare(
    select(SignInAllowance.key, SignInAllowance.until).where(
        SignInAllowance.key == any_(bindparam("keys", type_=ARRAY(LargeBinary)))
    )
)


def _lock_number(key: bytes) -> int:
    return int.from_bytes(key[:8], signed=True)


def _belongs_to() -> Exists:
    mine = exists().where(Membership.tenant_id == Tenant.id, Membership.user_id == User.id)
    return mine.where(Membership.disabled_at.is_(None))
