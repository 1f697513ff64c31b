"""Faults of a configuration, each with its place."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tenants.errors import FieldError

Place = tuple[str | int, ...]


class Fault(NamedTuple):
    """Something that is wrong: where, a stable code, and a message that does not echo the input."""

    place: Place
    code: str
    message: str


def within(place: Place, faults: Iterable[Fault]) -> Iterator[FieldError]:
    """The faults of the part at this place, with RFC 6901 pointers into the whole."""
    return (FieldError(pointer_of((*place, *each.place)), each.code, each.message) for each in faults)


def repeated(name: str, values: Sequence[Hashable]) -> Iterator[Fault]:
    """A fault for each value that is in the list before."""
    seen: set[Hashable] = set()
    for number, value in enumerate(values):
        if value in seen:
            yield Fault((name, number), "not_unique", "It is in the list before.")
        seen.add(value)


def pointer_of(place: Place) -> str:
    """An RFC 6901 pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)
