"""The decision: may a principal do this? Casbin answers once, a dictionary afterwards.

pycasbin takes 70 µs and more for a decision, linear in its lines; a remembered one takes a look-up. The key of what is
remembered is the policy (fixed while the process runs, for the built-in roles), the roles, and the permission.
"""

from collections.abc import Sequence
from pathlib import Path

import casbin
import structlog
from casbin.persist.adapters.string_adapter import StringAdapter

from gateway.authorization.permissions import Permission, policy_lines
from tenants.principal import Principal

_MODEL = Path(__file__).with_name("model.conf")
_REMEMBERED = 50_000  # decisions; dropped together when full, which costs one decision each to refill

_log = structlog.get_logger(__name__)


class Authorizer:
    """Default deny: an unknown role, an unknown permission and any failure are all a denial (AZ1, AZ2)."""

    def __init__(self, permissions: Sequence[Permission]) -> None:
        self.permissions = tuple(permissions)
        self._by_name = {permission.name: permission for permission in permissions}
        # From an adapter: lines that are added are each looked for among all others first (21 s for 40,000 of them).
        lines = "\n".join(", ".join(("p", *line)) for line in policy_lines(permissions))
        self._enforcer = casbin.Enforcer(str(_MODEL), StringAdapter(lines))
        self._decisions: dict[tuple[tuple[str, ...], str], bool] = {}

    def allows(self, principal: Principal, permission: str) -> bool:
        """True when one of the principal's roles grants the permission and its scopes do not narrow it away."""
        if principal.scopes is not None and permission not in principal.scopes:
            return False
        return self._decisions.get((principal.roles, permission)) or self._decide(principal.roles, permission)

    def permissions_of(self, principal: Principal) -> list[str]:
        """Names of all that the principal may do, sorted."""
        return [name for name in self._by_name if self.allows(principal, name)]

    def permissions_of_roles(self, roles: tuple[str, ...]) -> frozenset[str]:
        """Names of all that these roles grant, scopes aside."""
        return frozenset(name for name in self._by_name if self._decide(roles, name))

    def _decide(self, roles: tuple[str, ...], permission: str) -> bool:
        known = self._decisions.get((roles, permission))
        if known is not None:
            return known
        wanted = self._by_name.get(permission)
        if wanted is None:
            return False  # and not remembered: whoever asks of permissions that there are not takes no room
        try:
            allowed = any(self._enforcer.enforce(role, wanted.object, wanted.action) for role in roles)
        except Exception:  # noqa: BLE001 - whatever goes wrong in a decision is a denial, and an alarm
            _log.exception("authorization_failed", permission=permission, roles=roles)
            return False  # and not remembered: a denial by accident ends with the accident
        if len(self._decisions) >= _REMEMBERED:
            self._decisions.clear()
        self._decisions[(roles, permission)] = allowed
        return allowed
