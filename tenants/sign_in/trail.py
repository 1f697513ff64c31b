"""What the audit logs of a person's tenants record of the person's account."""

from collections.abc import Iterable

import structlog

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound, Unavailable
from tenants.events.models import Category
from tenants.identifiers import TENANT, TenantId, UserId, show
from tenants.principal import Actor, ActorKind

ENDED = "sign_in.ended"
PASSWORD_CHANGED, PASSWORD_RESET = "users.password_changed", "users.password_reset"

_log = structlog.get_logger(__name__)


async def record(
    session: ControlSession,
    tenants: Iterable[TenantId],
    origin: Origin,
    action: str,
    user: UserId,
    *,
    after: audit.State | None = None,
) -> None:
    """Add a row by this person to the log of each of these tenants.

    A log that cannot be written is left out: no tenant keeps a person from ending their sessions in another one.
    """
    by = origin.by(Actor(ActorKind.USER, user))
    for tenant in sorted(tenants):
        try:
            async with session.begin_nested():
                await audit.record(session, tenant, by, action, user, after=after, category=Category.ACCESS)
        except (NotFound, Unavailable) as error:
            _log.warning("account_not_audited", tenant=show(TENANT, tenant), action=action, error=error.detail)
