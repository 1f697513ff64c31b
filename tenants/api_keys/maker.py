"""A key never holds more than its maker: not in role, scopes, time, networks or limits (AZ5).

Otherwise whoever holds a narrow key could make themselves a wide one, and keep it after theirs has ended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

from tenants.api_keys.schemas import KeyLimit
from tenants.errors import Forbidden, ValidationFailed
from tenants.principal import Principal
from tenants.roles.builtin import BuiltInRole, is_within

PermissionsOfRoles = Callable[[tuple[str, ...]], frozenset[str]]


class ExceedsMaker(Forbidden):
    message = "A key never holds more than whoever makes it."


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a key, and all that they may do themselves."""

    principal: Principal
    permissions: frozenset[str]


def granted_role(name: str) -> BuiltInRole:
    """The role of this name. Raises ValidationFailed when there is none."""
    try:
        return BuiltInRole(name)
    except ValueError as error:
        raise ValidationFailed.at("/role", "unknown_role", "There is no role of this name.") from error


def check_grant(
    maker: Maker | None, role: BuiltInRole, scopes: Sequence[str] | None, permissions_of: PermissionsOfRoles
) -> None:
    """Raise ValidationFailed for scopes that the role does not hold, ExceedsMaker for what the maker does not hold."""
    held = permissions_of((role,))
    for position, scope in enumerate(scopes or ()):
        if scope not in held:
            raise ValidationFailed.at(f"/scopes/{position}", "unknown_scope", "The role holds no such permission.")
    granted = held if scopes is None else frozenset(scopes)
    if maker and not (is_within(role, maker.principal.roles) and granted <= maker.permissions):
        raise ExceedsMaker


def narrowed_expiry(maker: Maker | None, wanted: datetime | None, now: datetime) -> datetime | None:
    """When the key ends: as wanted, and never after its maker's own end."""
    if wanted is not None and wanted <= now:
        raise ValidationFailed.at("/expires_at", "not_in_future", "This time has passed.")
    if maker is None or maker.principal.expires_at is None or maker.principal.user_id == maker.principal.id:
        return wanted  # a person's access token ends in minutes, the person stays
    end = datetime.fromtimestamp(maker.principal.expires_at, UTC)
    if wanted is not None and wanted > end:
        raise ExceedsMaker
    return wanted or end


def narrowed_networks(maker: Maker | None, wanted: Sequence[str]) -> list[str]:
    """Where the key may be used from: as wanted, and never from outside its maker's networks."""
    own = maker.principal.networks if maker else ()
    if not own:
        return list(wanted)
    if any(not _inside(ip_network(each), own) for each in wanted):
        raise ExceedsMaker
    return list(wanted) or [str(each) for each in own]


def narrowed_limits(maker: Maker | None, wanted: Sequence[KeyLimit]) -> list[KeyLimit]:
    """The key's own windows: those wanted, and those of its maker, where no tighter one of the same name is wanted."""
    named = {limit.name: limit for limit in wanted}
    if len(named) != len(wanted):
        raise ValidationFailed.at("/limits", "duplicate", "Two limits have the same name.")
    for own in maker.principal.windows if maker else ():
        other = named.setdefault(own.name, KeyLimit(name=own.name, quota=own.quota, window_seconds=own.seconds))
        if other.window_seconds != own.seconds or other.quota > own.quota:
            raise ExceedsMaker
    return list(named.values())


def _inside(network: IPv4Network | IPv6Network, own: Sequence[IPv4Network | IPv6Network]) -> bool:
    for each in own:
        if isinstance(network, IPv4Network) and isinstance(each, IPv4Network) and network.subnet_of(each):
            return True
        if isinstance(network, IPv6Network) and isinstance(each, IPv6Network) and network.subnet_of(each):
            return True
    return False
