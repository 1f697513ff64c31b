"""What a tenant decides about ways to sign in."""

from collections.abc import Awaitable, Callable, Sequence

from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.errors import Forbidden
from tenants.members.repository import Member

# Returns when the member may begin a session by these methods, in the transaction that begins it. Raises SsoRequired.
CheckPolicy = Callable[[ControlSession, Member, Sequence[str], Origin], Awaitable[None]]


class SsoRequired(Forbidden):
    """Raised only after the person has proven who they are: it reveals nothing about others (ID10)."""

    message = "The tenant requires single sign-on. Sign in at its identity provider."
