"""A key never holds more than the principal that issues it: not in role, scopes, time, networks or limits (AZ5, ID16).

Otherwise a narrow key could issue a wide one, which would go on working after the narrow one has ended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenants.api_keys.lineage import Owner, OwnerKind, owner_of
from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import KeyLimit
from tenants.errors import Forbidden, ValidationFailed
from tenants.identifiers import UserId
from tenants.policy import NO_OWN_ROLES, Policy
from tenants.principal import Principal, Window
from tenants.roles.builtin import BUILT_IN_ROLES
from tenants.roles.permissions import SERVICE_KEYS_CREATE
from tenants.values.networks import Network, contains, plain_network

PermissionsOfRoles = Callable[[Policy, tuple[str, ...]], frozenset[str]]


class ExceedsIssuer(Forbidden):
    message = "A key cannot hold more than the credential that issues it."


class NoOwnKeys(Forbidden):
    message = "Only people and API keys create keys."


class NoServiceKeys(Forbidden):
    message = (
        f"A key of the tenant itself is created with the permission {SERVICE_KEYS_CREATE}, by a person or by a key that"
        " the tenant owns."
    )


@dataclass(frozen=True, slots=True)
class Issuer:
    """The principal that issues a key, all that it may do itself, and its tenant's own roles, which it may grant."""

    principal: Principal
    permissions: frozenset[str]
    policy: Policy = NO_OWN_ROLES

    @property
    def ends(self) -> datetime | None:
        """When the principal ends. An access token ends in minutes, its person does not."""
        if self.principal.expires_at is None or self.principal.user_id == self.principal.id:
            return None
        return datetime.fromtimestamp(self.principal.expires_at, UTC)


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """What a key is given: a role by name, and the permissions that it is narrowed to; None is all of the role's."""

    role: str
    scopes: Sequence[str] | None


def check_grant(
    issuer: Issuer | None, grant: RoleGrant, permissions_of: PermissionsOfRoles, policy: Policy = NO_OWN_ROLES
) -> None:
    """Return when the grant is within what the issuer holds.

    ``issuer`` is None for the SaaS's own staff; the tenant's own roles are then those of ``policy``.

    The role as a whole must be within the issuer's roles, and what is granted of it within the issuer's permissions,
    which its own scopes may narrow. Raises ValidationFailed for a role that does not exist and for scopes that the
    role does not hold, ExceedsIssuer for what the issuer does not hold.
    """
    policy = issuer.policy if issuer else policy
    held = permissions_of(policy, (_existing(grant.role, policy),))
    for position, scope in enumerate(grant.scopes or ()):
        if scope not in held:
            raise ValidationFailed.at(f"/scopes/{position}", "unknown_scope", "The role holds no such permission.")
    if issuer is None:
        return
    granted = held if grant.scopes is None else frozenset(grant.scopes)
    if not (held <= permissions_of(policy, issuer.principal.roles) and granted <= issuer.permissions):
        raise ExceedsIssuer


def _existing(role: str, policy: Policy) -> str:
    if role not in BUILT_IN_ROLES and role not in policy.roles:
        raise ValidationFailed.at("/role", "unknown_role", "There is no role of this name.")
    return role


def owner_for(issuer: Issuer | None, maker: ApiKey | None, requested: OwnerKind | None) -> Owner:
    """The owner of a new key: who issues it, or the tenant for what the SaaS's own staff issue.

    ``maker`` is the issuer's row when it is a key. Raises NoServiceKeys when the tenant is requested by an issuer
    without the permission, or by a key that is not the tenant's own: what it makes would no longer be bound by anyone.
    """
    if requested is OwnerKind.TENANT and issuer is not None:
        is_owned = maker is not None and owner_of(maker).kind is not OwnerKind.TENANT
        if SERVICE_KEYS_CREATE not in issuer.permissions or is_owned:
            raise NoServiceKeys
    if issuer is None or requested is OwnerKind.TENANT:
        return Owner(OwnerKind.TENANT)
    if maker is not None:
        return Owner(OwnerKind.KEY, key=maker.id)
    return Owner(OwnerKind.USER, user=UserId(issuer.principal.id))


def narrowed_expiry(issuer: Issuer | None, requested: datetime | None, now: datetime) -> datetime | None:
    """When the key ends: as requested, and never later than its issuer."""
    if requested is not None and requested <= now:
        raise ValidationFailed.at("/expires_at", "not_in_future", "Must be in the future.")
    end = None if issuer is None else issuer.ends
    if requested is not None and end is not None and requested > end:
        raise ExceedsIssuer
    return requested or end


def narrowed_networks(issuer: Issuer | None, requested: Sequence[str]) -> list[str]:
    """Networks that the key may be used from: as requested, and never outside its issuer's."""
    own = issuer.principal.networks if issuer else ()
    if not own:
        return list(requested)
    if any(not is_inside(plain_network(each), own) for each in requested):
        raise ExceedsIssuer
    return list(requested) or [str(each) for each in own]


def narrowed_limits(issuer: Issuer | None, requested: Sequence[KeyLimit]) -> list[KeyLimit]:
    """The key's own windows: those requested, and its issuer's, where no tighter one of the same name is requested."""
    named = {limit.name: limit for limit in requested}
    if len(named) != len(requested):
        raise ValidationFailed.at("/limits", "duplicate", "Two limits have the same name.")
    # The tightest first: of several of one name it is the one to copy.
    for own in sorted(issuer.principal.windows, key=_quota_of) if issuer else ():
        other = named.setdefault(own.name, KeyLimit(name=own.name, quota=own.quota, window_seconds=own.seconds))
        if other.window_seconds != own.seconds or other.quota > own.quota:
            raise ExceedsIssuer
    return list(named.values())


def _quota_of(window: Window) -> int:
    return window.quota


def is_inside(network: Network, own: Sequence[Network]) -> bool:
    """Whether one of ``own`` contains the whole network."""
    return any(contains(each, network) for each in own)
