"""From an identity that a provider vouches for to a member of the tenant, with the roles of their groups.

A subject is linked to a person once, by an e-mail address that the provider has verified in a domain that the tenant
has proven; from then on the subject alone decides. A provider speaks for its own tenant only: what is linked, given and
taken here are memberships and roles of that tenant, never an account elsewhere.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.directory.errors import TenantSuspended
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId, UserId
from tenants.members import repository as members_repository
from tenants.members.repository import Member
from tenants.members.schemas import MOST_ROLES
from tenants.members.service import Members
from tenants.principal import Actor, ActorKind, TenantStatus
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.sso import repository
from tenants.sso.connections import OWNERS
from tenants.sso.domains import domain_of
from tenants.sso.errors import SsoRefused
from tenants.sso.models import SsoConnection, SsoIdentity
from tenants.sso.port import Identity
from tenants.sso.repository import Connected
from tenants.users.service import Users


class Admission:
    """Runs in the caller's transaction. Admissions to one tenant are serialised with changes of its members."""

    def __init__(self, users: Users, members: Members, roles: Roles) -> None:
        self._users = users
        self._members = members
        self._roles = roles

    async def admit(
        self, session: ControlSession, tenant_id: TenantId, connection: UUID, identity: Identity, origin: Origin
    ) -> UserId:
        """The person, who is a member with up-to-date roles by then. Raises SsoRefused and TenantSuspended.

        ``origin`` is that of the request; the person becomes its actor.
        """
        known = await self._roles.serialised(session, tenant_id)
        # Read after that: nothing changes it from now on.
        connected = await repository.find_connected_of(session, connection)
        if connected is None:
            raise SsoRefused(detail="the connection was removed")
        await self._check(session, connected.tenant, identity)
        link = await repository.find_identity(session, connection, identity.subject)
        if link is None:
            link = await self._linked(session, connected, identity, origin)
        member = await members_repository.find(session, tenant_id, link.user_id)
        if member is None:  # removed: another sign-in must not undo that
            raise SsoRefused(detail="the person was removed from the tenant")
        if member.is_disabled:
            raise SsoRefused(detail="the person is disabled")
        mapped = _mapped(connected.connection, link, member, identity)
        await self._give_roles(session, known, link, member, mapped, origin=origin.by(_actor(member.id)))
        link.seen_at = datetime.now(UTC)
        return member.id

    async def _check(self, session: ControlSession, tenant: Tenant, identity: Identity) -> None:
        domain = domain_of(identity.email)
        if domain is None or not await repository.is_proven(session, tenant.id, domain):
            raise SsoRefused(detail="the domain of the e-mail address is not proven")
        if tenant.status == TenantStatus.SUSPENDED:
            raise TenantSuspended

    async def _linked(
        self, session: ControlSession, connected: Connected, identity: Identity, origin: Origin
    ) -> SsoIdentity:
        user = await self._users.ensure(session, identity.email, identity.name)
        if await repository.find_identity_of(session, connected.connection.id, user.id) is not None:
            # An address that was reassigned must not open the account of its former holder.
            raise SsoRefused(detail="the e-mail address belongs to another subject")
        is_new = await members_repository.find(session, connected.tenant.id, user.id) is None
        granted = [connected.connection.default_role] if is_new else []
        if is_new:
            await members_repository.put(session, connected.tenant.id, user.id, granted)
            await self._members.check_seats(session, connected.tenant.id)
        link = SsoIdentity(
            connection_id=connected.connection.id,
            subject=identity.subject,
            user_id=user.id,
            provisioned=is_new,
            granted=granted,
        )
        session.add(link)
        await session.flush()
        action, after = (
            "members.added" if is_new else "members.linked",
            {"roles": granted, "amr": identity.methods},
        )
        await audit.record(
            session,
            connected.tenant.id,
            origin.by(_actor(user.id)),
            action,
            user.id,
            after={**after, "email": user.email},
        )
        return link

    async def _give_roles(
        self,
        session: ControlSession,
        known: RoleSet,
        link: SsoIdentity,
        member: Member,
        mapped: set[str],
        *,
        origin: Origin,
    ) -> None:
        """Replace the roles that single sign-on has given before. Roles that were given manually stay."""
        manual = _manual(member, link)
        most = max(MOST_ROLES - len(manual), 0)
        link.granted = sorted(_grantable(known, mapped) - manual)[:most]
        roles = sorted(manual | set(link.granted))
        if not roles:
            raise SsoRefused(detail="the connection gives no role")
        await session.flush()
        await self._members.set_roles(session, member.tenant.id, None, member.id, roles, origin=origin)


def _actor(user: UserId) -> Actor:
    return Actor(ActorKind.USER, user)


def _mapped(connection: SsoConnection, link: SsoIdentity, member: Member, identity: Identity) -> set[str]:
    """The roles of the groups; with the default one for whom it has made a member, and for whom would have none."""
    mapped = {connection.group_roles[group] for group in identity.groups if group in connection.group_roles}
    needs_default = link.provisioned or not (mapped or _manual(member, link))
    return mapped | {connection.default_role} if needs_default else mapped


def _manual(member: Member, link: SsoIdentity) -> set[str]:
    return set(member.roles) - set(link.granted)


def _grantable(known: RoleSet, roles: Iterable[str]) -> set[str]:
    """A role may have changed since it was mapped: it still cannot make owners."""
    return {role for role in roles if role in known and OWNERS not in known.permissions_of((role,))}
