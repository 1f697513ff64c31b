"""What a tenant decides about second factors: to require them, and to reset those of a member who has lost theirs."""

from datetime import UTC, datetime

from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.identifiers import TenantId, UserId
from tenants.members import repository as members
from tenants.mfa import repository
from tenants.mfa.enrolment import FACTORS_RESET, FACTORS_RESET_LONGER, Enrolment
from tenants.mfa.errors import FactorsBeyondTenant, NotEnrolled, OwnReset
from tenants.principal import Principal, PrincipalKind
from tenants.roles.grants import Grantor, check_assignment
from tenants.roles.service import Roles
from tenants.sign_in.second_factor import MULTI_FACTOR, SecondFactorNeeded, is_multi_factor


class TenantMfa:
    """Every call runs in the caller's transaction."""

    def __init__(self, roles: Roles, enrolment: Enrolment) -> None:
        self._roles = roles
        self._enrolment = enrolment

    def check_may_require(self, principal: Principal) -> None:
        """Before ``require_mfa`` is set. Raises SecondFactorNeeded.

        A person turns it on in a session that used a second factor, which shows that they have one. An API key needs
        none: members without a factor enrol at their next sign-in, so that nobody is locked out.
        """
        if principal.kind is PrincipalKind.USER and not is_multi_factor(principal.methods):
            raise SecondFactorNeeded

    async def end_weak_sessions(self, session: ControlSession, tenant: TenantId) -> None:
        """End the sessions of the tenant that were opened without a second factor.

        In a transaction of its own, after the one that set ``require_mfa``: that one has locked the tenant, which a
        refresh waits for while it holds its session. Until this one, a refresh of such a session is refused.
        """
        await repository.end_sign_ins_without(session, tenant, MULTI_FACTOR, datetime.now(UTC))

    async def reset(
        self,
        session: ControlSession,
        tenant: TenantId,
        principal: Principal | None,
        grantor: Grantor | None,
        user: UserId,
        *,
        origin: Origin,
    ) -> None:
        """Remove all second factors of a member who has lost them, and end their sessions.

        A password that was enough with a factor alone signs in no more: the person sets a longer one by a link.
        The factors protect the person in all their tenants, so a tenant resets only those of people who are members of
        it alone; operators (``principal`` and ``grantor`` None) those of any member. Raises NotFound, ExceedsOwn for a
        member who holds more than the caller, OwnReset, FactorsBeyondTenant, and NotEnrolled.
        """
        known = await self._roles.serialised(session, tenant)
        member = await members.find(session, tenant, user)
        if member is None:
            raise NotFound
        check_assignment(grantor, known, member.roles, ())
        if principal is not None and user in {principal.id, principal.user_id}:
            raise OwnReset
        if grantor is not None and len(await repository.tenants_of(session, user)) > 1:
            raise FactorsBeyondTenant
        person = await repository.lock_user(session, user)
        if person is None or not (await repository.factors_of(session, user)).count:
            raise NotEnrolled
        await repository.remove_all(session, user)
        change = FACTORS_RESET_LONGER if person.password_is_short else FACTORS_RESET
        await self._enrolment.changed(session, person, change, tenant=tenant, origin=origin)
