"""Policies as Casbin asks for them: the built-in roles, and the own roles of each tenant.

A decision of pycasbin takes time in proportion to the lines: 13 ms for 2,000 permissions of routes. So it is given only
the lines that concern the permission in question, at most one for each role.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import casbin

from tenants.identifiers import TenantId
from tenants.policy import Policy
from tenants.roles.permissions import Permission

_MODEL = Path(__file__).with_name("model.conf")
MOST_TENANTS = 1_000  # policies of tenants that one process keeps


_Lines = Mapping[str, list[list[str]]]  # by the name of the permission: role, object, action


@dataclass(frozen=True, slots=True)
class _TenantPolicy:
    policy: Policy
    lines: _Lines


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy says of one role and one permission."""

    policy: Policy
    line: tuple[str, ...] | None  # role, object and action of the line that allows it; None when there is none


class Enforcers:
    """Keeps at most one revision of a tenant's policy: another revision takes its place.

    ``on_drop`` is called with each policy that is given up, so that decisions taken under it can go as well.
    """

    def __init__(self, built_in: Policy, permissions: Iterable[Permission], on_drop: Callable[[Policy], None]) -> None:
        self._permissions = {each.name: each for each in permissions}
        self._built_in = built_in
        self._shared = self._lines_of(built_in)
        self._own: OrderedDict[TenantId, _TenantPolicy] = OrderedDict()  # the least recently asked first
        self._on_drop = on_drop
        self._enforcer = casbin.Enforcer(str(_MODEL))

    def __len__(self) -> int:
        """How many tenants have a policy here."""
        return len(self._own)

    def allows(self, policy: Policy, role: str, permission: Permission) -> bool:
        """Whether this role holds the permission: by the built-in policy when the role is built in, else by ``policy``.

        Raises whatever Casbin raises.
        """
        return self.judge(policy, role, permission).line is not None

    def judge(self, policy: Policy, role: str, permission: Permission) -> Judgement:
        """As ``allows``, with the policy that decided and its line."""
        own = self._shared if policy.tenant is None else self._own_lines(policy.tenant, policy)
        is_built_in = role in self._built_in.roles
        lines = self._shared if is_built_in else own
        # As lists: a role's name with a comma or a bracket would be another rule as a line of text.
        self._enforcer.model["p"]["p"].policy = lines.get(permission.name, [])
        allowed, line = self._enforcer.enforce_ex(role, permission.object, permission.action)
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

    def _own_lines(self, tenant: TenantId, policy: Policy) -> _Lines:
        known = self._own.get(tenant)
        if known is None or known.policy != policy:
            if known is not None:
                self._on_drop(known.policy)
            known = self._own[tenant] = _TenantPolicy(policy, self._lines_of(policy))
        self._own.move_to_end(tenant)
        if len(self._own) > MOST_TENANTS:
            self._on_drop(self._own.popitem(last=False)[1].policy)
        return known.lines

    def _lines_of(self, policy: Policy) -> _Lines:
        """Every rule of the policy. A permission that this deployment does not have is left out."""
        lines: defaultdict[str, list[list[str]]] = defaultdict(list)
        for role, names in policy.roles.items():
            for each in (self._permissions[name] for name in names if name in self._permissions):
                lines[each.name].append([role, each.object, each.action])
        return dict(lines)


def _ignore(_policy: Policy) -> None:
    """What a rehearsal drops is kept by the original."""
