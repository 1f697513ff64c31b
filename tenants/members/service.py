"""Membership of people in tenants."""

from collections.abc import Sequence

from tenants.database.sessions import ControlSession
from tenants.identifiers import TenantId, UserId
from tenants.members import repository
from tenants.roles.builtin import BuiltInRole


class Members:
    """Every call runs in the caller's transaction."""

    async def put(self, session: ControlSession, tenant: TenantId, user: UserId, roles: Sequence[BuiltInRole]) -> None:
        """Make the person a member of the tenant with exactly these roles."""
        await repository.put(session, tenant, user, [role.value for role in roles])
