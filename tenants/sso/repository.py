"""SQL of the control tables ``sso_…``, and of what single sign-on decides about memberships and sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    any_,
    delete,
    exists,
    func,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.identifiers import SsoDomainId, TenantId, UserId
from tenants.members.models import Membership
from tenants.roles.builtin import BuiltInRole
from tenants.sign_in.models import RefreshToken, UserSession
from tenants.sign_in.second_factor import FEDERATED
from tenants.sso.errors import DomainProvenElsewhere, DomainTaken
from tenants.sso.models import SsoConnection, SsoDomain, SsoFlow, SsoIdentity


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection and its tenant."""

    connection: SsoConnection
    tenant: Tenant


async def find_connection(session: ControlSession, tenant: TenantId) -> SsoConnection | None:
    """The tenant's connection. Changes of it are serialised with those of the tenant's roles and members."""
    return await session.scalar(select(SsoConnection).where(SsoConnection.tenant_id == tenant))


async def find_connected(session: ControlSession, slug: str) -> Connected | None:
    """The connection of the tenant with this slug."""
    query = select(SsoConnection, Tenant).join(Tenant, Tenant.id == SsoConnection.tenant_id)
    row = (await session.execute(query.where(Tenant.slug == slug))).first()
    return None if row is None else Connected(*row)


async def find_connected_of(session: ControlSession, connection: UUID) -> Connected | None:
    """The connection with this id."""
    query = select(SsoConnection, Tenant).join(Tenant, Tenant.id == SsoConnection.tenant_id)
    row = (await session.execute(query.where(SsoConnection.id == connection))).first()
    return None if row is None else Connected(*row)


async def remove_connection(session: ControlSession, connection: UUID) -> None:
    """Delete the connection with its identities and flows."""
    await session.execute(delete(SsoConnection).where(SsoConnection.id == connection))


async def forget_subjects(session: ControlSession, connection: UUID) -> None:
    """Delete the flows and identities of a provider that is no longer the tenant's."""
    await session.execute(delete(SsoFlow).where(SsoFlow.connection_id == connection))
    await session.execute(delete(SsoIdentity).where(SsoIdentity.connection_id == connection))


async def maps_role(session: ControlSession, tenant: TenantId, role: str) -> bool:
    """Whether single sign-on gives this role to anybody."""
    connection = await find_connection(session, tenant)
    return connection is not None and role in {connection.default_role, *connection.group_roles.values()}


async def hold_policy(session: ControlSession, tenant: TenantId) -> None:
    """Enforcement does not begin before the transaction ends; it may have begun already."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(_policy_lock(tenant))))


async def change_policy(session: ControlSession, tenant: TenantId) -> None:
    """Wait for the sign-ins that hold the policy: enforcement ends the sessions that they open."""
    await session.execute(select(func.pg_advisory_xact_lock(_policy_lock(tenant))))


async def is_enforced(session: ControlSession, tenant: TenantId) -> bool:
    """Whether the tenant allows no other way to sign in."""
    return bool(await session.scalar(select(SsoConnection.enforced).where(SsoConnection.tenant_id == tenant)))


async def end_federated(session: ControlSession, tenant: TenantId, when: datetime) -> None:
    """End the sessions in this tenant that single sign-on has opened."""
    await _end_sessions(session, tenant, _is_federated, when)


async def end_others(session: ControlSession, tenant: TenantId, when: datetime) -> None:
    """End the sessions in this tenant that were opened by other means, but not those of owners."""
    owners = select(Membership.user_id).where(
        Membership.tenant_id == tenant, literal(BuiltInRole.OWNER.value) == any_(Membership.roles)
    )
    await _end_sessions(session, tenant, and_(not_(_is_federated), UserSession.user_id.not_in(owners)), when)


_is_federated = literal(FEDERATED) == any_(UserSession.methods)


async def _end_sessions(session: ControlSession, tenant: TenantId, which: ColumnElement[bool], when: datetime) -> None:
    """The sign-ins first, then their tokens: the order in which a refresh locks them."""
    ended = update(UserSession).where(UserSession.tenant_id == tenant, UserSession.ended_at.is_(None), which)
    await session.execute(ended.values(ended_at=when).execution_options(synchronize_session=False))
    sealed = update(RefreshToken).where(RefreshToken.tenant_id == tenant, RefreshToken.successor_sealed.is_not(None))
    over = exists().where(UserSession.id == RefreshToken.family_id, UserSession.ended_at.is_not(None))
    cleared = sealed.where(over).values(successor_sealed=None)
    await session.execute(cleared.execution_options(synchronize_session=False))


async def add_domain(session: ControlSession, domain: SsoDomain) -> None:
    """Insert the row. Raises DomainTaken."""
    known = select(SsoDomain.id).where(SsoDomain.tenant_id == domain.tenant_id, SsoDomain.domain == domain.domain)
    if await session.scalar(known) is not None:
        raise DomainTaken
    session.add(domain)
    try:
        await session.flush()
    except IntegrityError as error:  # another request added it at the same time
        raise DomainTaken from error


async def find_domain(
    session: ControlSession, tenant: TenantId, domain: SsoDomainId, *, lock: bool = False
) -> SsoDomain | None:
    """One domain of this tenant."""
    query = select(SsoDomain).where(SsoDomain.tenant_id == tenant, SsoDomain.id == domain)
    return await session.scalar(query.with_for_update() if lock else query)


async def count_domains(session: ControlSession, tenant: TenantId) -> int:
    """Number of the tenant's domains, proven or not."""
    return await session.scalar(select(func.count()).where(SsoDomain.tenant_id == tenant)) or 0


async def page_of_domains(session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[SsoDomain]:
    """A page of the tenant's domains, in the order in which they were added."""
    return (
        await session.scalars(keyset.of(select(SsoDomain).where(SsoDomain.tenant_id == tenant), SsoDomain.id))
    ).all()


async def set_proven(session: ControlSession, domain: SsoDomain, when: datetime) -> None:
    """The record was found. Raises DomainProvenElsewhere."""
    domain.verified_at, domain.seen_at = domain.verified_at or when, when
    try:
        await session.flush()
    except IntegrityError as error:
        raise DomainProvenElsewhere from error


async def remove_domain(session: ControlSession, domain: SsoDomainId) -> None:
    """Delete the row."""
    await session.execute(delete(SsoDomain).where(SsoDomain.id == domain))


async def is_proven(session: ControlSession, tenant: TenantId, domain: str) -> bool:
    """Whether the tenant has proven this domain."""
    query = select(SsoDomain.id).where(SsoDomain.tenant_id == tenant, SsoDomain.domain == domain)
    return await session.scalar(query.where(SsoDomain.verified_at.is_not(None))) is not None


async def has_proven_domain(session: ControlSession, tenant: TenantId) -> bool:
    """Whether the tenant has proven any domain."""
    query = select(SsoDomain.id).where(SsoDomain.tenant_id == tenant, SsoDomain.verified_at.is_not(None))
    return await session.scalar(query.limit(1)) is not None


async def proven_domains(session: ControlSession, after: SsoDomainId | None, count: int) -> Sequence[SsoDomain]:
    """The next proven domains of all tenants by id, for the job that looks at them again."""
    query = select(SsoDomain).where(SsoDomain.verified_at.is_not(None)).order_by(SsoDomain.id).limit(count)
    return (await session.scalars(query if after is None else query.where(SsoDomain.id > after))).all()


async def find_identity(session: ControlSession, connection: UUID, subject: str) -> SsoIdentity | None:
    """Who this subject of the provider is."""
    return await session.get(SsoIdentity, (connection, subject))


async def find_identity_of(session: ControlSession, connection: UUID, user: UserId) -> SsoIdentity | None:
    """The subject that this person is."""
    query = select(SsoIdentity).where(SsoIdentity.connection_id == connection, SsoIdentity.user_id == user)
    return await session.scalar(query)


async def take_flow(session: ControlSession, states: Sequence[bytes], when: datetime) -> SsoFlow | None:
    """The flow that waits for one of these states, once: a concurrent caller gets None."""
    taken = update(SsoFlow).where(SsoFlow.state_digest.in_(states), SsoFlow.expires_at > when)
    return await session.scalar(taken.values(state_digest=None).returning(SsoFlow))


async def set_code(session: ControlSession, flow: UUID, user: UserId, digest: bytes, expires_at: datetime) -> bool:
    """Store for whom the flow has ended well. False when it was deleted meanwhile."""
    ended = update(SsoFlow).where(SsoFlow.id == flow)
    values = {"user_id": user, "code_digest": digest, "expires_at": expires_at}
    return await session.scalar(ended.values(values).returning(SsoFlow.id)) is not None


async def redeem_flow(session: ControlSession, codes: Sequence[bytes], when: datetime) -> SsoFlow | None:
    """The flow that has one of these codes, once: it is deleted."""
    redeemed = delete(SsoFlow).where(SsoFlow.code_digest.in_(codes), SsoFlow.expires_at > when)
    return await session.scalar(redeemed.returning(SsoFlow))


async def remove_flow(session: ControlSession, flow: UUID) -> None:
    """Delete a flow that has failed."""
    await session.execute(delete(SsoFlow).where(SsoFlow.id == flow))


async def delete_old_flows(session: ControlSession) -> None:
    """Delete flows that can no longer be used."""
    await session.execute(delete(SsoFlow).where(SsoFlow.expires_at < func.now() - timedelta(minutes=1)))


def _policy_lock(tenant: TenantId) -> ColumnElement[int]:
    return literal(int.from_bytes(tenant.bytes[8:], signed=True), BigInteger)  # the random half of the UUIDv7
