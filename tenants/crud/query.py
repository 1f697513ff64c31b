"""The parameters of a list, read together, so that one answer names every error in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tenants.crud.faults import query_fault, repetitions
from tenants.crud.filters import read_filter
from tenants.crud.pages import Cursors, Listing, Position
from tenants.crud.search import read_search
from tenants.crud.sort import read_sort
from tenants.errors import FieldError, ValidationFailed
from tenants.identifiers import TenantId
from tenants.resources.collection import Collection
from tenants.values.errors import BadValue
from tenants.values.numbers import read_integer

DEFAULT_LIMIT, MAX_LIMIT = 25, 100
MAX_PARAMETERS = 40

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
    collection: Collection, tenant: TenantId, parameters: Sequence[tuple[str, str]], cursors: Cursors
) -> Query:
    """The query that the parameters describe. Raises ValidationFailed with every fault of every parameter."""
    if len(parameters) > MAX_PARAMETERS:
        raise ValidationFailed((query_fault("", "too_long", f"At most {MAX_PARAMETERS} parameters."),))
    given = dict(parameters)
    faults = [*repetitions(parameters)]
    own = {name: given.pop(name, None) for name in own_parameters(collection)}
    filters = [_attempt(faults, read_filter, collection, *each) for each in sorted(given.items())]
    limit = _attempt(faults, _read_limit, own["limit"])
    sort = _attempt(faults, read_sort, collection, own["sort"])
    search = _attempt(faults, read_search, own.get("q"))
    if faults or limit is None or sort is None or search is None:
        raise ValidationFailed(tuple(faults))
    listing = Listing(tenant, collection, sort, tuple(each for each in filters if each), search)
    cursor = own["cursor"]
    return Query(listing, limit, None if cursor is None else cursors.read(listing, cursor))


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
