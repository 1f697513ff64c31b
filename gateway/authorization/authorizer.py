"""The decision: may a principal do this? Casbin decides once, a dictionary afterwards.

pycasbin takes 70 µs and more for a decision; a remembered one takes a look-up. A decision is remembered under the
policy that it was taken by (its owner and its revision), the roles, and the permission: roles of the same name in two
tenants are two keys, and a new revision of a policy has none of the decisions of the old one.
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import copy

import structlog

from gateway.authorization.enforcers import Enforcers, Judgement
from tenants.policy import Policy
from tenants.principal import Principal
from tenants.roles.permissions import Permission
from tenants.roles.vocabulary import Vocabulary

MOST_DECISIONS = 50_000  # all are forgotten when there are more, which costs one decision each to learn again

_DecisionKey = tuple[str, tuple[str, ...], str]  # key of the policy, roles, permission

_log = structlog.get_logger(__name__)


class Authorizer:
    """Default deny: an unknown role, an unknown permission and any failure are all a denial (AZ1, AZ2)."""

    def __init__(self, permissions: Iterable[Permission]) -> None:
        self._remembers = True
        self.replace(Vocabulary(permissions))

    def replace(self, vocabulary: Vocabulary) -> None:
        """Decide by another vocabulary from now on. Nothing that was decided by the old one is remembered."""
        self.permissions = vocabulary.every
        self._by_name = {permission.name: permission for permission in vocabulary.every}
        self._enforcers = Enforcers(vocabulary.policy, vocabulary.every, on_drop=self._forget)
        self._decisions: dict[_DecisionKey, bool] = {}
        self._keys_of: defaultdict[str, list[_DecisionKey]] = defaultdict(list)  # by policy, to forget them together

    def allows(self, principal: Principal, permission: str) -> bool:
        """True when one of the principal's roles holds the permission and its scopes do not exclude it."""
        if principal.scopes is not None and permission not in principal.scopes:
            return False
        key = (principal.policy.key, principal.roles, permission)
        return self._decisions.get(key) or self._decide(principal.policy, principal.roles, permission)

    def rehearsal(self) -> "Authorizer":
        """An authorizer that decides as this one does, and remembers nothing here."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Change nothing of the authorizer that this is a copy of."""
        self._enforcers = self._enforcers.rehearsal()
        self._remembers = False

    def judgements(self, principal: Principal, permission: str) -> dict[str, Judgement]:
        """What decides for each role of the principal; scopes are not considered.

        Empty for an unknown permission, and for a failure, which ``allows`` takes for a denial.
        """
        target, policy = self._by_name.get(permission), principal.policy
        if target is None:
            return {}
        try:
            return {role: self._enforcers.judge(policy, role, target) for role in principal.roles}
        except Exception:  # noqa: BLE001 - as in _decide, which has logged it
            return {}

    def permissions_of(self, principal: Principal) -> list[str]:
        """Names of all that the principal may do, sorted."""
        return [name for name in self._by_name if self.allows(principal, name)]

    def permissions_of_roles(self, policy: Policy, roles: tuple[str, ...]) -> frozenset[str]:
        """Names of all that these roles hold, built-in ones and those of ``policy``; scopes are not considered."""
        return frozenset(name for name in self._by_name if self._decide(policy, roles, name))

    def _decide(self, policy: Policy, roles: tuple[str, ...], permission: str) -> bool:
        key = (policy.key, roles, permission)
        known = self._decisions.get(key)
        if known is not None:
            return known
        target = self._by_name.get(permission)
        if target is None:
            return False  # not remembered: permissions that do not exist must not fill the memory
        try:
            allowed = any(self._enforcers.allows(policy, role, target) for role in roles)
        except Exception:  # noqa: BLE001 - any failure of a decision is a denial, and an alarm
            _log.exception("authorization_failed", permission=permission, roles=roles, policy=policy.key)
            return False  # not remembered: the denial ends with the failure
        self._remember(key, allowed=allowed)
        return allowed

    def _remember(self, key: _DecisionKey, *, allowed: bool) -> None:
        if not self._remembers:
            return
        if len(self._decisions) >= MOST_DECISIONS:
            self._decisions.clear()
            self._keys_of.clear()
        self._decisions[key] = allowed
        self._keys_of[key[0]].append(key)

    def _forget(self, policy: Policy) -> None:
        for key in self._keys_of.pop(policy.key, ()):
            self._decisions.pop(key, None)
