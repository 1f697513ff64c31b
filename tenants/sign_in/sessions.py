"""A person's own sessions: list and end them, and begin one in another tenant."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tenants.audit.origin import Origin
from tenants.credentials import CredentialRevoked
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.errors import NotFound
from tenants.identifiers import SESSION, SignInId, TenantId, UserId, show
from tenants.principal import Principal
from tenants.sign_in import repository, trail
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.errors import BoundToTenant
from tenants.sign_in.repository import OwnSession, OwnTenant
from tenants.sign_in.schemas import Grant, MfaChallenge
from tenants.sign_in.second_factor import FEDERATED
from tenants.sign_in.service import SignIn

_KEPT = timedelta(days=1)  # after it ended: longer than its access tokens are valid
_UNUSED = timedelta(days=91)  # longer than any refresh token is valid


class Sessions:
    """Every call runs in the caller's transaction, for a person who is signed in.

    A tenant's identity provider speaks for that tenant alone (docs/decisions/0031): who signed in through it sees and
    ends their sessions there, and no others.
    """

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in

    async def page(self, session: ControlSession, caller: Principal, keyset: Keyset) -> Sequence[OwnSession]:
        """A page of the person's sessions, in all tenants, in the order of their beginning."""
        return await repository.sessions_of(session, UserId(caller.id), _tenant_of(caller), keyset)

    async def end(self, session: ControlSession, caller: Principal, sign_in: SignInId, *, origin: Origin) -> None:
        """End one of the person's sessions. Raises NotFound for another person's, an ended and an unknown one."""
        user, now = UserId(caller.id), datetime.now(UTC)
        ended = await repository.end_own_session(session, user, _tenant_of(caller), sign_in, now)
        if not ended:
            raise NotFound
        await trail.record(session, ended, origin, trail.ENDED, user, after={"session": show(SESSION, sign_in)})

    async def tenants(self, session: ControlSession, caller: Principal, keyset: Keyset) -> Sequence[OwnTenant]:
        """A page of the tenants that the person is a member of, in the order of their creation."""
        return await repository.tenants_of(session, UserId(caller.id), _tenant_of(caller), keyset)

    async def switch(
        self, session: ControlSession, caller: Principal, slug: str, client: ClientInfo
    ) -> Grant | MfaChallenge:
        """Begin a session in another tenant of the person, with the methods of the current one, which goes on.

        It waits for a second factor where the tenant requires one and the current session used none.
        Raises NotFound for a tenant that does not exist or that the person is not a member of, TenantSuspended for
        members of it, BoundToTenant after single sign-on, CredentialRevoked when the current session has ended.
        """
        if FEDERATED in caller.methods:
            raise BoundToTenant
        user = UserId(caller.id)
        tenant = await repository.find_own_tenant(session, user, slug)
        if tenant is None:
            raise NotFound
        begun = await self._sign_in.begin_session(session, user, tenant, methods=caller.methods, client=client)
        # After the new one, which holds the person: the end of all sessions is either seen here, or ends both.
        if caller.sign_in_id is None or not await repository.is_open(session, caller.sign_in_id):
            raise CredentialRevoked
        return begun


def _tenant_of(caller: Principal) -> TenantId | None:
    """The only tenant of which the session shows something; None for all of the person's."""
    return caller.tenant.id if FEDERATED in caller.methods else None


async def forget_old_sessions(database: Database) -> None:
    """Delete sessions that ended, or expired, long ago."""
    async with database.control() as session:
        await repository.delete_old_sessions(session, _KEPT, _UNUSED)
