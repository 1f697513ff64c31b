"""Staged changes of a tenant's roles, members and keys: valid by the rules of real changes. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tenants.api_keys.lineage import MemberNow, OwnerKind, owned_since, owner_of
from tenants.api_keys.recognised import RecognisedKey
from tenants.decisions.judgement import Holders, Program
from tenants.decisions.schemas import DryRun, StagedKey
from tenants.errors import FieldError, ValidationFailed
from tenants.identifiers import ApiKeyId, UserId
from tenants.members.errors import LastOwner
from tenants.roles.builtin import BuiltInRole
from tenants.roles.errors import RoleInUse
from tenants.roles.role_set import RoleDefinition, RoleSet


@dataclass(frozen=True, slots=True)
class Person:
    """A member, disabled or not."""

    by_hand: tuple[str, ...]
    of_groups: tuple[str, ...]
    is_enabled: bool
    since: datetime

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles of the member."""
        return tuple(dict.fromkeys((*self.by_hand, *self.of_groups)))


@dataclass(frozen=True, slots=True)
class Assignments:
    """A tenant's roles, and who has them. Keys that have ended are left out."""

    roles: RoleSet
    people: Mapping[UserId, Person]
    keys: Mapping[ApiKeyId, RecognisedKey]
    programs: Sequence[Program] = ()
    keys_to: UserId | None = None  # who gets the keys of members who lose rights, if the tenant chose that

    @property
    def holders(self) -> Holders:
        """Without people who are disabled."""
        enabled = {
            user: MemberNow(person.roles, person.since) for user, person in self.people.items() if person.is_enabled
        }
        return Holders(self.roles, enabled, self.keys, self.programs)

    @property
    def has_owner(self) -> bool:
        """As ``LastOwner`` requires."""
        return any(each.is_enabled and BuiltInRole.OWNER in each.by_hand for each in self.people.values())

    def assign(self, role: str) -> bool:
        """Whether a member or a key has this role."""
        people = any(role in person.roles for person in self.people.values())
        return people or any(key.role == role for key in self.keys.values())


def staged(before: Assignments, requested: DryRun) -> Assignments:
    """All changes as one, in whatever order single ones could be made.

    Raises ValidationFailed, RoleNameTaken, TooManyRoles, RoleInUse and LastOwner.
    """
    _refuse(_unknown(before, requested))
    definitions = [RoleDefinition(each.name, tuple(each.permissions), tuple(each.inherits)) for each in requested.roles]
    roles = before.roles.staged(definitions, requested.remove)
    members = {each.id: replace(before.people[each.id], by_hand=tuple(each.roles)) for each in requested.members}
    keys = {**before.keys, **_handed_over(before, roles, members)}
    keys |= {each.id: _changed(keys[each.id], each) for each in requested.keys}
    after = replace(before, roles=roles, people={**before.people, **members}, keys=keys)
    _refuse(_not_granted(after, requested))
    if any(after.assign(name) for name in requested.remove):
        raise RoleInUse
    if requested.members and before.has_owner and not after.has_owner:
        raise LastOwner
    return after


def _handed_over(
    before: Assignments, roles: RoleSet, members: Mapping[UserId, Person]
) -> dict[ApiKeyId, RecognisedKey]:
    """Keys that pass to another member, as ``MemberKeys.before_loss`` hands them over."""
    receiver = None if before.keys_to is None else before.people.get(before.keys_to)
    if receiver is None or not receiver.is_enabled:
        return {}
    held = {
        user: roles.permissions_of(before.people[user].roles)
        for user, person in members.items()
        if user != before.keys_to
        and not roles.permissions_of(before.people[user].roles) <= roles.permissions_of(person.roles)
    }
    return {
        key.id: replace(
            _narrowed(key, roles, held[user]),
            owned_by=OwnerKind.USER.value,
            owner_user_id=before.keys_to,
            owner_key_id=None,
            owned_since=receiver.since,
        )
        for key in before.keys.values()
        if (user := owner_of(key).user) is not None and user in held and owned_since(key) >= before.people[user].since
    }


def _narrowed(key: RecognisedKey, roles: RoleSet, held: frozenset[str]) -> RecognisedKey:
    granted = roles.permissions_of((key.role,))
    if key.scopes is not None:
        granted = granted.intersection(key.scopes)
    return key if granted <= held else replace(key, scopes=sorted(granted & held))


def _changed(key: RecognisedKey, change: StagedKey) -> RecognisedKey:
    return replace(key, **change.model_dump(include={"role", "scopes"}, exclude_unset=True))


def _unknown(before: Assignments, requested: DryRun) -> Iterator[FieldError]:
    """What does not exist, or belongs to another tenant."""
    for position, name in enumerate(requested.remove):
        if name not in before.roles.definitions:
            yield FieldError(f"/remove/{position}", "unknown_role", "There is no role of this name.")
    for position, member in enumerate(requested.members):
        if member.id not in before.people:
            yield FieldError(f"/members/{position}/id", "unknown_member", "The tenant has no such member.")
    for position, key in enumerate(requested.keys):
        if key.id not in before.keys:
            yield FieldError(f"/keys/{position}/id", "unknown_key", "The tenant has no such key, or it has ended.")


def _not_granted(after: Assignments, requested: DryRun) -> Iterator[FieldError]:
    """Roles that do not exist afterwards, and scopes that a key's role does not hold."""
    for position, member in enumerate(requested.members):
        for at, role in enumerate(member.roles):
            if role not in after.roles:
                yield FieldError(f"/members/{position}/roles/{at}", "unknown_role", "There is no role of this name.")
    for position, key in enumerate(requested.keys):
        role = after.keys[key.id].role
        if "role" in key.model_fields_set and role not in after.roles:
            yield FieldError(f"/keys/{position}/role", "unknown_role", "There is no role of this name.")
            continue
        held = after.roles.permissions_of((role,))
        for at, scope in enumerate(key.scopes or ()):
            if scope not in held:
                yield FieldError(f"/keys/{position}/scopes/{at}", "unknown_scope", "The role holds no such permission.")


def _refuse(errors: Iterator[FieldError]) -> None:
    found = tuple(errors)
    if found:
        raise ValidationFailed(found)
