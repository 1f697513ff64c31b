"""What a tenant's single sign-on means for every other way to sign in."""

from collections.abc import Sequence

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.events.models import Category
from tenants.members.repository import Member
from tenants.roles.builtin import BuiltInRole
from tenants.sign_in.policy import SsoRequired
from tenants.sign_in.second_factor import FEDERATED
from tenants.sso import repository


async def check_enforcement(session: ControlSession, member: Member, methods: Sequence[str], origin: Origin) -> None:
    """Return when the member may begin a session by these methods. Raises SsoRequired.

    Owners always may, which the tenant's audit records: a provider that fails must not lock the tenant out.
    """
    if FEDERATED in methods:
        return
    await repository.hold_policy(session, member.tenant.id)
    if not await repository.is_enforced(session, member.tenant.id):
        return
    if BuiltInRole.OWNER not in member.roles:
        raise SsoRequired
    await audit.record(
        session,
        member.tenant.id,
        origin,
        "sign_in.emergency_access",
        member.id,
        after={"methods": list(methods)},
        category=Category.ACCESS,
    )
