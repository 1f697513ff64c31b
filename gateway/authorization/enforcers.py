"""Casbin enforcers: one for the built-in roles, and a small one for each tenant with roles of its own.

A decision of pycasbin takes time in proportion to the enforcer's lines, so no tenant pays for the roles of another.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import casbin
from casbin.persist.adapter import Adapter

from tenants.identifiers import TenantId
from tenants.policy import Policy
from tenants.roles.permissions import Permission

_MODEL = Path(__file__).with_name("model.conf")
MOST_TENANTS = 1_000  # enforcers of tenants that one process keeps; each takes some 8 KB and 0.2 ms to make


class _PolicyAdapter(Adapter):  # type: ignore[misc]  # the library has no annotations
    """Gives Casbin rules as lists. As lines of text, a role's name with a comma or a bracket would be another rule."""

    def __init__(self, policy: Policy, permissions: Mapping[str, Permission]) -> None:
        self._policy = policy
        self._permissions = permissions

    def load_policy(self, model: casbin.Model) -> None:
        """Put every rule into the model. A permission that this deployment does not have is left out."""
        rules = model["p"]["p"].policy
        for role, names in self._policy.roles.items():
            known = (self._permissions[name] for name in sorted(names) if name in self._permissions)
            rules.extend([role, each.object, each.action] for each in known)


@dataclass(frozen=True, slots=True)
class _TenantEnforcer:
    policy: Policy
    enforcer: casbin.Enforcer


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy says of one role and one permission."""

    policy: Policy
    line: tuple[str, ...] | None  # role, object and action of the line that allows it; None when there is none


class Enforcers:
    """Keeps at most one revision of a tenant's policy: another revision takes its place.

    ``on_drop`` is called with each policy whose enforcer is given up, so that decisions taken under it can go as well.
    """

    def __init__(self, built_in: Policy, permissions: Iterable[Permission], on_drop: Callable[[Policy], None]) -> None:
        self._permissions = {each.name: each for each in permissions}
        self._built_in = built_in
        self._shared = self._make(built_in)
        self._own: OrderedDict[TenantId, _TenantEnforcer] = OrderedDict()  # the least recently asked first
        self._on_drop = on_drop

    def __len__(self) -> int:
        """How many tenants have an enforcer of their own."""
        return len(self._own)

    def allows(self, policy: Policy, role: str, permission: Permission) -> bool:
        """Whether this role holds the permission: by the built-in policy when the role is built in, else by ``policy``.

        Raises whatever Casbin raises.
        """
        return self.judge(policy, role, permission).line is not None

    def judge(self, policy: Policy, role: str, permission: Permission) -> Judgement:
        """As ``allows``, with the policy that decided and its line."""
        own = self._shared if policy.tenant is None else self._own_enforcer(policy.tenant, policy)
        is_built_in = role in self._built_in.roles
        enforcer = self._shared if is_built_in else own
        allowed, line = enforcer.enforce_ex(role, permission.object, permission.action)
        return Judgement(self._built_in if is_built_in else policy, tuple(line) if allowed else None)

    def rehearsal(self) -> "Enforcers":
        """Decides as these do, and neither keeps nor drops an enforcer here."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Change nothing of the enforcers that these are a copy of."""
        self._own = self._own.copy()
        self._on_drop = _ignore

    def _own_enforcer(self, tenant: TenantId, policy: Policy) -> casbin.Enforcer:
        known = self._own.get(tenant)
        if known is None or known.policy != policy:
            if known is not None:
                self._on_drop(known.policy)
            known = self._own[tenant] = _TenantEnforcer(policy, self._make(policy))
        self._own.move_to_end(tenant)
        if len(self._own) > MOST_TENANTS:
            self._on_drop(self._own.popitem(last=False)[1].policy)
        return known.enforcer

    def _make(self, policy: Policy) -> casbin.Enforcer:
        return casbin.Enforcer(str(_MODEL), _PolicyAdapter(policy, self._permissions))


def _ignore(_policy: Policy) -> None:
    """What a rehearsal drops is kept by the original."""
