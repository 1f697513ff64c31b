"""The parameters of a list, read together, so that one answer names every error in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tenants.crud.faults import query_fault, repetitions
from tenants.crud.filters import read_filter, takes_list
from tenants.crud.pages import Cursors, Listing, Position
from tenants.crud.search import read_search
from tenants.crud.sort import read_sort
from tenants.errors import FieldError, ValidationFailed
from tenants.identifiers import TenantId
from tenants.resources.collection import Collection
from tenants.values.errors import BadValue
from tenants.values.numbers import read_integer

DEFAULT_LIMIT, MAX_LIMIT = 25, 100
MAX_FILTERS = 20  # of one list: each more is another comparison of every row, and more SQL to write and plan

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Query:
    """A requested list: which one, how many rows, and after which position."""

    listing: Listing
    limit: int
    after: Position | None


def own_parameters(collection: Collection) -> frozenset[str]:
    """The parameters of a list that are not filters."""
    return frozenset({"limit", "cursor", "sort"} | ({"q"} if collection.resource.searchable else set()))


def read_query(
    collection: Collection, tenant: TenantId, parameters: Sequence[tuple[str, Sequence[str]]], cursors: Cursors
) -> Query:
    """The query that the parameters describe. Raises ValidationFailed with every fault of every parameter.

    A parameter is its name and what the commas of its value separate.
    """
    given = _by_name(parameters)
    repeated = len(given) < len(parameters)
    own = {name: given.pop(name, None) for name in own_parameters(collection)}
    if len(given) > MAX_FILTERS:
        raise ValidationFailed((query_fault("", "too_many", f"At most {MAX_FILTERS} filters."),))
    faults = [*repetitions(name for name, _ in parameters if not takes_list(name))] if repeated else []
    filters = [_attempt(faults, read_filter, collection, *each) for each in sorted(given.items())]
    limit = _attempt(faults, _read_limit, _text(own["limit"]))
    sort = _attempt(faults, read_sort, collection, _text(own["sort"]))
    search = _attempt(faults, read_search, _text(own.get("q")))
    if faults or limit is None or sort is None or search is None:
        raise ValidationFailed(tuple(faults))
    listing = Listing(tenant, collection, sort, tuple(each for each in filters if each), search)
    cursor = _text(own["cursor"])
    return Query(listing, limit, None if cursor is None else cursors.read(listing, cursor))


def _by_name(parameters: Sequence[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """The values of each list in the order in which they were given; of any other parameter what was given last."""
    given: dict[str, list[str]] = {}
    for name, parts in parameters:
        if takes_list(name):
            given.setdefault(name, []).extend(parts)
        else:
            given[name] = [*parts]
    return given


def _text(parts: Sequence[str] | None) -> str | None:
    return None if parts is None else ",".join(parts)


def _attempt(faults: list[FieldError], read: Callable[_P, _T], *given: _P.args, **named: _P.kwargs) -> _T | None:
    """The result of ``read``, or None when it has failed; then its faults are in ``faults``."""
    try:
        return read(*given, **named)
    except ValidationFailed as error:
        faults.extend(error.errors)
        return None


def _read_limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    try:
        limit = read_integer(text)
    except BadValue:
        limit = 0
    if not 1 <= limit <= MAX_LIMIT:
        message = f"Must be an integer from 1 to {MAX_LIMIT}."
        raise ValidationFailed((query_fault("limit", "out_of_range", message),))
    return limit
