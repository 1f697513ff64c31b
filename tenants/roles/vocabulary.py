"""What roles can refer to: the permissions that there are now, and the built-in roles.

Those of management, of resources and of the team's own endpoints are fixed while a process runs. Those of routes come
and go with the versions of the routes (docs/decisions/0048).
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

from tenants.policy import Policy
from tenants.roles.permissions import Permission, built_in_policy

_REVISION_BYTES = 8


class Vocabulary:
    """Immutable. ``introduced`` are permissions that routes add to those of the deployment."""

    def __init__(self, permissions: Iterable[Permission], introduced: Iterable[Permission] = ()) -> None:
        extra = tuple(sorted(introduced))
        self.every = tuple(sorted((*permissions, *extra), key=_name))
        self.permissions = frozenset(each.name for each in self.every)
        # Equal vocabularies have equal revisions, on every worker.
        self.revision = (
            int.from_bytes(blake2b(repr(extra).encode(), digest_size=_REVISION_BYTES).digest()) if extra else 0
        )
        policy = built_in_policy(self.every)
        self.policy = Policy(None, policy.revision + self.revision, policy.roles)
        self.built_in: Mapping[str, frozenset[str]] = policy.roles


class CurrentPermissions:
    """One for each process. Code that needs permissions asks each time, or subscribes."""

    def __init__(self, fixed: Iterable[Permission]) -> None:
        self.fixed = tuple(fixed)
        self.vocabulary = Vocabulary(self.fixed)
        self._introduced: tuple[Permission, ...] = ()
        self._subscribers: list[Callable[[Vocabulary], None]] = []

    @property
    def names(self) -> frozenset[str]:
        """Every permission that there is now."""
        return self.vocabulary.permissions

    def subscribe(self, subscriber: Callable[[Vocabulary], None]) -> None:
        """Call ``subscriber`` with every later vocabulary, in the same step in which it comes into force."""
        self._subscribers.append(subscriber)

    def introduce(self, permissions: Iterable[Permission]) -> bool:
        """Let these be what routes add, in place of what they have added before. Whether anything has changed."""
        introduced = tuple(sorted(permissions))
        if introduced == self._introduced:
            return False
        self._introduced, self.vocabulary = introduced, Vocabulary(self.fixed, introduced)
        for subscriber in self._subscribers:
            subscriber(self.vocabulary)
        return True


def _revision(introduced: tuple[Permission, ...]) -> int:
    return int.from_bytes(blake2b(repr(introduced).encode(), digest_size=_REVISION_BYTES).digest())


def _name(permission: Permission) -> str:
    return permission.name
