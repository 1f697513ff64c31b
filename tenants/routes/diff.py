"""What differs between two configurations, by upstream and by route. Their order makes no difference."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tenants.routes.schemas import Configuration, RouteSpec, UpstreamSpec

Spec = UpstreamSpec | RouteSpec
Members = Mapping[str, Any]


class Kind(StrEnum):
    """The two kinds of objects in a configuration; also the member that lists them."""

    UPSTREAM = "upstreams"
    ROUTE = "routes"


class Action(StrEnum):
    """What happened to an object."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs. ``before`` and ``after`` have the members that do; one is None without the object."""

    kind: Kind
    name: str
    action: Action
    before: Members | None
    after: Members | None

    def __str__(self) -> str:
        """As versions and commands show it: ``route echo: updated``."""
        return f"{self.kind.name.lower()} {self.name}: {self.action}"


def differences(before: Configuration, after: Configuration) -> tuple[Change, ...]:
    """The changes from one to the other: upstreams, then routes, each by name."""
    return (
        *_of_kind(Kind.UPSTREAM, before.upstreams, after.upstreams),
        *_of_kind(Kind.ROUTE, before.routes, after.routes),
    )


def _of_kind(kind: Kind, before: Sequence[Spec], after: Sequence[Spec]) -> Iterator[Change]:
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one is None and other is not None:
            yield Change(kind, name, Action.CREATED, None, stored_form(other))
        elif other is None and one is not None:
            yield Change(kind, name, Action.DELETED, stored_form(one), None)
        elif one is not None and other is not None and one != other:
            yield _updated(kind, name, complete_form(one), complete_form(other))


def _updated(kind: Kind, name: str, before: Members, after: Members) -> Change:
    differing = [member for member in before if before[member] != after[member]]
    old, new = ({member: form[member] for member in differing} for form in (before, after))
    return Change(kind, name, Action.UPDATED, old, new)


def complete_form(spec: Spec | Configuration) -> dict[str, Any]:
    """The JSON form with every member."""
    return spec.model_dump(mode="json")


def stored_form(spec: Spec | Configuration) -> dict[str, Any]:
    """The JSON form without members that have their default: an older release reads it while none is used of a newer.

    docs/decisions/0047.
    """
    return spec.model_dump(mode="json", exclude_defaults=True)


def fingerprint(spec: Spec | Configuration) -> int:
    """A number of the content, from 1 on, for entity tags: one object of a version has no version of its own."""
    content = json.dumps(stored_form(spec), sort_keys=True).encode()  # PostgreSQL keeps no order of members
    return 1 + int.from_bytes(hashlib.blake2b(content, digest_size=4).digest())
