"""Who bounds a key: its owner, and the owners of that, up to a person or the tenant (ID16).

A key has a maker, which is recorded for good, and an owner, whose rights bound it now: the person or the key that made
it, until it is handed over. What a key may do is what its role and scopes hold, and every owner up the line holds too.
It is computed when the key is loaded, from rows of that moment, so no change of an owner has to find its keys. A key
of the tenant itself has no owner: nothing but its own row bounds it.

A person's key is of the membership that its owner had when the key became theirs. It ends with that membership: who is
a member again later owns nothing of what they owned before (ID15).

A key that was revoked alone goes on to bound the keys that it owns, by what it held, and ends none of them. One that is
disabled or has expired leaves them nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache, reduce
from typing import Protocol
from uuid import UUID

from tenants.api_keys.models import ApiKey
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.status import has_expired
from tenants.credentials import CredentialExpired, CredentialRevoked
from tenants.errors import Conflict
from tenants.identifiers import ApiKeyId, TenantId, UserId
from tenants.values.networks import Network, common_networks, plain_network

MOST_OWNERS = 8  # keys that own a key, directly or through others: bounds what loading it costs

Permissions = frozenset[str]
PermissionsOf = Callable[[tuple[str, ...]], Permissions]
Refusal = type[CredentialRevoked] | type[CredentialExpired]


class TooManyOwners(Conflict):
    message = (
        f"A key that {MOST_OWNERS} keys made one from another cannot make a further one. Create the key with a key that"
        " is nearer to the first, or as a person."
    )


class OwnerKind(StrEnum):
    """What owns a key; the values of the column ``owned_by``."""

    USER = "user"
    KEY = "key"
    TENANT = "tenant"


class OwnedRow(Protocol):
    """The columns that name the owner."""

    @property
    def owned_by(self) -> str | None: ...

    @property
    def owner_user_id(self) -> UserId | None: ...

    @property
    def owner_key_id(self) -> ApiKeyId | None: ...

    @property
    def created_by_user_id(self) -> UserId | None: ...


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a key. A person whose account is gone leaves USER without an id, which bounds it to nothing."""

    kind: OwnerKind
    user: UserId | None = None
    key: ApiKeyId | None = None


def owner_of(row: OwnedRow) -> Owner:
    """An older release records no owner: its keys belong to the person who created them, and else to the tenant."""
    if row.owned_by is not None:
        return Owner(OwnerKind(row.owned_by), row.owner_user_id, row.owner_key_id)
    if row.created_by_user_id is not None:
        return Owner(OwnerKind.USER, user=row.created_by_user_id)
    return Owner(OwnerKind.TENANT)


def columns_of(owner: Owner) -> dict[str, str | UUID | None]:
    """The columns that name this owner."""
    return {"owned_by": owner.kind.value, "owner_user_id": owner.user, "owner_key_id": owner.key}


def owned_since(row: RecognisedKey | ApiKey) -> datetime:
    """Since when the key has its owner. An older release records nothing, and hands no key over."""
    return row.owned_since or row.created_at


@dataclass(frozen=True, slots=True)
class MemberNow:
    """The roles that a person holds in a tenant now, and since when they are a member."""

    roles: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Owners:
    """What was read of the owners of some keys: the keys among them, and the people as members."""

    keys: Mapping[ApiKeyId, RecognisedKey]
    people: Mapping[tuple[TenantId, UserId], MemberNow]  # without those who are disabled, or members no longer

    def line(self, key: RecognisedKey) -> Iterator[RecognisedKey]:
        """The keys that own this one, the nearest first. Ends at a key that was not found, or is another tenant's."""
        seen = {key.id}
        owner = self._owner(key)
        while owner is not None and owner.id not in seen:
            seen.add(owner.id)
            yield owner
            owner = self._owner(owner)

    def roles_of_owner(self, key: RecognisedKey) -> tuple[str, ...] | None:
        """What the person who owns this key holds now; None when no person does, or not in their membership of now."""
        user = owner_of(key).user
        member = None if user is None else self.people.get((key.tenant.id, user))
        return None if member is None or owned_since(key) < member.since else member.roles

    def _owner(self, key: RecognisedKey) -> RecognisedKey | None:
        owner = owner_of(key).key
        found = None if owner is None else self.keys.get(owner)
        return found if found is not None and found.tenant.id == key.tenant.id else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a key may do, its own row and its owners considered."""

    refusal: Refusal | None = None  # an owner has ended
    scopes: Permissions | None = None  # None: all that its role holds
    networks: tuple[Network, ...] = ()  # empty allows any
    expires_at: datetime | None = None


def people_of(keys: Iterable[RecognisedKey]) -> set[tuple[TenantId, UserId]]:
    """The people who own one of these keys, each with its tenant."""
    owners = ((key.tenant.id, owner_of(key).user) for key in keys)
    return {(tenant, user) for tenant, user in owners if user is not None}


@dataclass(frozen=True, slots=True)
class Granted:
    """What the key's own row grants it, or one of its owners. A key has what all of them grant."""

    holder: Owner
    permissions: Permissions
    key: RecognisedKey | None = None  # of a holder that is a key
    is_gone: bool = False  # of a holder who is a person: disabled, or no member since they have owned the key


def granted_by(key: RecognisedKey, owners: Owners, permissions_of: PermissionsOf) -> list[Granted]:
    """The key itself first, then its owners, the nearest first."""
    line = [key, *owners.line(key)]
    found = [Granted(Owner(OwnerKind.KEY, key=each.id), _granted(each, permissions_of), each) for each in line]
    person = owner_of(line[-1])
    if person.user is not None:
        roles = owners.roles_of_owner(line[-1])
        found.append(Granted(person, permissions_of(roles or ()), is_gone=roles is None))
    return found


def bounds_of(key: RecognisedKey, owners: Owners, permissions_of: PermissionsOf, now: datetime) -> Bounds:
    """What the owners leave of a key that has not ended itself. ``permissions_of`` gives what roles hold now."""
    line = [key, *owners.line(key)]
    person = owner_of(line[-1])
    roles = owners.roles_of_owner(line[-1])
    refusal = next((found for found in (_refusal_of_owned(each, now) for each in line[1:]) if found), None)
    if refusal is None and person.kind is not OwnerKind.TENANT and roles is None:
        refusal = CredentialRevoked  # the person has left or is disabled, or the line could not be followed
    if refusal is not None:
        return Bounds(refusal)
    held = permissions_of((key.role,))
    scopes = reduce(frozenset.__and__, (each.permissions for each in granted_by(key, owners, permissions_of)), held)
    networks = [tuple(_network(text) for text in each.allowed_cidrs) for each in line if each.allowed_cidrs]
    common = reduce(common_networks, networks) if networks else ()
    return Bounds(
        refusal=None if common or not networks else CredentialRevoked,
        scopes=None if scopes == held else scopes,
        networks=common,
        expires_at=min((each.expires_at for each in line if each.expires_at), default=None),
    )


def refusal_of(key: RecognisedKey, now: datetime) -> Refusal | None:
    """Why a key is refused by its own row; None for one that works."""
    if key.revoked_at is not None or key.disabled_at is not None:
        return CredentialRevoked
    return CredentialExpired if has_expired(key, now) else None


def _refusal_of_owned(owner: RecognisedKey, now: datetime) -> Refusal | None:
    """Disabled first: revoking such a key afterwards must not bring to life what it owns."""
    if owner.disabled_at is not None:
        return CredentialRevoked
    return CredentialExpired if has_expired(owner, now) else None


@lru_cache(maxsize=10_000)
def _network(text: str) -> Network:
    return plain_network(text)


def _granted(key: RecognisedKey, permissions_of: PermissionsOf) -> Permissions:
    held = permissions_of((key.role,))
    return held if key.scopes is None else held.intersection(key.scopes)
