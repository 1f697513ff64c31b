"""What a SaaS team runs before and after a change of a resource, in the change's own transaction."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from tenants.database.sessions import TenantSession
from tenants.principal import Actor


class Verb(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object, by column name; hidden columns are left out.

    ``before`` is the stored object, locked until the end of the transaction; None for a creation. ``after`` is what the
    change writes, and for the hook that runs afterwards the object as stored; None for a deletion.
    """

    verb: Verb
    resource: str
    object_id: UUID
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    actor: Actor


# Refuses the change by raising a TenantryError: then nothing of the transaction is committed.
Hook = Callable[[TenantSession, Change], Awaitable[None]]


def faults_of_hook(name: str, hook: object) -> Iterator[str]:
    """What is wrong with a declared hook."""
    called = hook if inspect.isroutine(hook) else getattr(hook, "__call__", None)  # noqa: B004 - its type is looked at
    if hook is not None and not inspect.iscoroutinefunction(called):
        yield f"{name} must be an async function of a TenantSession and a Change"
