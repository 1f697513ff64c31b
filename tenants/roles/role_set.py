"""The roles of one tenant with their inheritance resolved, and the changes that keep them valid. Plain sets, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b

from tenants.errors import FieldError, ValidationFailed
from tenants.identifiers import TenantId
from tenants.policy import Policy
from tenants.roles.errors import RoleInUse, RoleNameTaken, TooManyRoles
from tenants.roles.vocabulary import Vocabulary

MOST_ROLES = 100  # of one tenant
MOST_PERMISSIONS = 200  # named by one role
MOST_INHERITED = 20  # roles named by one role
MOST_LEVELS = 8  # own roles on a path of inheritance
_REVISION_BYTES = 16


@dataclass(frozen=True, slots=True, order=True)
class RoleDefinition:
    """A tenant's own role: the permissions that it names, and the roles that it inherits from."""

    name: str
    permissions: tuple[str, ...]
    inherits: tuple[str, ...] = ()


class RoleSet:
    """Immutable; a change gives another set, or raises why it is invalid."""

    def __init__(self, tenant: TenantId, definitions: Iterable[RoleDefinition], vocabulary: Vocabulary) -> None:
        self.tenant = tenant
        self.definitions = {each.name: each for each in definitions}
        self._vocabulary = vocabulary

    @cached_property
    def own(self) -> Mapping[str, frozenset[str]]:
        """All that each own role holds. What no longer exists, permission or role, gives nothing."""
        held = dict(self._vocabulary.built_in)
        for name in self._in_order():
            if name in self.definitions and name not in self._vocabulary.built_in:
                held[name] = self._held_by(self.definitions[name], held)
        return {name: held[name] for name in self.definitions if name not in self._vocabulary.built_in}

    @cached_property
    def policy(self) -> Policy:
        """The policy of the own roles. Its revision is a hash of what it follows from: equal roles have equal ones."""
        text = repr((sorted(self.definitions.values()), self._vocabulary.revision)).encode()
        revision = int.from_bytes(blake2b(text, digest_size=_REVISION_BYTES).digest())
        return Policy(self.tenant, revision, self.own)

    def __contains__(self, name: str) -> bool:
        return name in self._vocabulary.built_in or name in self.definitions

    def permissions_of(self, roles: Iterable[str]) -> frozenset[str]:
        """All that these roles hold together."""
        nothing: frozenset[str] = frozenset()
        built_in = self._vocabulary.built_in
        return nothing.union(*(built_in.get(role) or self.own.get(role, nothing) for role in roles))

    def alone(self, name: str) -> "RoleSet":
        """One own role, which names all that it holds here. Equal roles give equal policies."""
        return RoleSet(self.tenant, [RoleDefinition(name, tuple(sorted(self.own[name])))], self._vocabulary)

    def added(self, definition: RoleDefinition) -> "RoleSet":
        """With one more role. Raises RoleNameTaken, TooManyRoles and ValidationFailed."""
        self._check_name(definition.name)
        if len(self.definitions) >= MOST_ROLES:
            raise TooManyRoles
        return self._with(definition)

    def changed(self, definition: RoleDefinition) -> "RoleSet":
        """With this definition in place of the one of the same name. Raises ValidationFailed."""
        return self._with(definition)

    def removed(self, name: str) -> "RoleSet":
        """Without this role. Raises RoleInUse when another one inherits from it."""
        remaining = [each for each in self.definitions.values() if each.name != name]
        if any(name in each.inherits for each in remaining):
            raise RoleInUse
        return RoleSet(self.tenant, remaining, self._vocabulary)

    def staged(self, definitions: Sequence[RoleDefinition], removed: Iterable[str]) -> "RoleSet":
        """With all of these added or changed, and without those that are removed: valid as a whole, in any order.

        The pointers of ValidationFailed are into ``/roles``, the list of ``definitions``. Raises what the single
        changes raise. The names are distinct, and those of ``removed`` are own roles.
        """
        gone = frozenset(removed)
        kept = RoleSet(
            self.tenant, (each for each in self.definitions.values() if each.name not in gone), self._vocabulary
        )
        new = [each for each in definitions if each.name not in kept.definitions]
        for each in new:
            kept._check_name(each.name)
        wanted = kept.definitions | {each.name: each for each in definitions}
        if new and len(wanted) > MOST_ROLES:
            raise TooManyRoles
        if any(gone.intersection(each.inherits) for each in wanted.values()):
            raise RoleInUse
        changed = RoleSet(self.tenant, wanted.values(), self._vocabulary)
        unknown = (self._unknown_in(each, changed, f"/roles/{at}") for at, each in enumerate(definitions))
        _check_shape([error for errors in unknown for error in errors], changed, "/roles")
        return changed

    def _with(self, definition: RoleDefinition) -> "RoleSet":
        changed = RoleSet(self.tenant, (self.definitions | {definition.name: definition}).values(), self._vocabulary)
        _check_shape(self._unknown_in(definition, changed, ""), changed, "/inherits")
        return changed

    def _check_name(self, new: str) -> None:
        if new.lower() in {name.lower() for name in (*self.definitions, *self._vocabulary.built_in)}:
            raise RoleNameTaken

    def _unknown_in(self, definition: RoleDefinition, changed: "RoleSet", pointer: str) -> list[FieldError]:
        # What the role names already may be out of date: a resource that was removed must not block every other change.
        before = self.definitions.get(definition.name)
        kept = frozenset(before.permissions) if before else frozenset()
        return [
            FieldError(
                f"{pointer}/permissions/{position}", "unknown_permission", "There is no permission of this name."
            )
            for position, name in enumerate(definition.permissions)
            if name not in self._vocabulary.permissions and name not in kept
        ] + [
            FieldError(f"{pointer}/inherits/{position}", "unknown_role", "There is no role of this name.")
            for position, name in enumerate(definition.inherits)
            if name not in changed
        ]

    def _in_order(self) -> Iterable[str]:
        """Every role after those that it inherits from. Raises CycleError."""
        return TopologicalSorter({each.name: each.inherits for each in self.definitions.values()}).static_order()

    @property
    def levels(self) -> int:
        """The number of own roles on the longest path of inheritance. Raises CycleError."""
        levels: dict[str, int] = {}
        for name in self._in_order():
            if name in self.definitions:
                levels[name] = 1 + max((levels.get(parent, 0) for parent in self.definitions[name].inherits), default=0)
        return max(levels.values(), default=0)

    def _held_by(self, definition: RoleDefinition, held: Mapping[str, frozenset[str]]) -> frozenset[str]:
        named = self._vocabulary.permissions.intersection(definition.permissions)
        return named.union(*(held.get(parent, frozenset()) for parent in definition.inherits))


def _check_shape(unknown: Sequence[FieldError], changed: RoleSet, pointer: str) -> None:
    """Raise ValidationFailed for names that are unknown, and at ``pointer`` for what the roles inherit together."""
    if unknown:
        raise ValidationFailed(tuple(unknown))
    try:
        levels = changed.levels
    except CycleError as error:
        raise ValidationFailed.at(pointer, "cycle", "A role cannot inherit from itself, by any path.") from error
    if levels > MOST_LEVELS:
        raise ValidationFailed.at(pointer, "too_deep", f"Inheritance has more than {MOST_LEVELS} levels.")
