"""What a key, or the caller who changes it, holds: permissions, time, networks and limits; compared by inclusion (AZ5).

Nobody changes a key that holds more than they do, except to narrow it: otherwise an admin could widen an owner's key,
and the holder of its secret would hold what was never given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tenants.api_keys.family import binding_windows
from tenants.api_keys.issuer import Issuer, PermissionsOfRoles, is_inside
from tenants.api_keys.models import ApiKey
from tenants.policy import Policy
from tenants.principal import Window
from tenants.values.networks import Network, plain_network


@dataclass(frozen=True, slots=True)
class Holding:
    """``role`` is what the roles hold as a whole; ``permissions`` is what scopes leave of it."""

    role: frozenset[str]
    permissions: frozenset[str]
    ends: datetime | None
    networks: tuple[Network, ...]  # empty is any
    windows: tuple[Window, ...]

    def is_within(self, other: "Holding") -> bool:
        """Whether it allows nothing that the other does not allow."""
        return (
            self.role <= other.role
            and self.permissions <= other.permissions
            and _ends_no_later(self.ends, other.ends)
            and _is_inside(self.networks, other.networks)
            and all(_is_as_tight(self.windows, each) for each in other.windows)
        )


def holding_of_key(key: ApiKey, permissions_of: PermissionsOfRoles, policy: Policy) -> Holding:
    """By the key's own row. Scopes that its role has lost since count for nothing."""
    role = permissions_of(policy, (key.role,))
    return Holding(
        role=role,
        permissions=role if key.scopes is None else role & frozenset(key.scopes),
        ends=key.expires_at,
        networks=tuple(plain_network(each) for each in key.allowed_cidrs),
        windows=binding_windows(key.id, key.limits, key.binding_limits),
    )


def holding_of_issuer(issuer: Issuer, permissions_of: PermissionsOfRoles) -> Holding:
    """Of the caller. An access token ends in minutes, its person does not."""
    return Holding(
        role=permissions_of(issuer.policy, issuer.principal.roles),
        permissions=issuer.permissions,
        ends=issuer.ends,
        networks=issuer.principal.networks,
        windows=issuer.principal.windows,
    )


def _ends_no_later(own: datetime | None, other: datetime | None) -> bool:
    return other is None or (own is not None and own <= other)


def _is_inside(own: Sequence[Network], other: Sequence[Network]) -> bool:
    return not other or (bool(own) and all(is_inside(each, other) for each in own))


def _is_as_tight(own: Sequence[Window], other: Window) -> bool:
    return any(each.seconds == other.seconds and each.quota <= other.quota for each in own)
