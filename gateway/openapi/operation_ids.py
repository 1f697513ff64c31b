"""Operation ids: the names that clients generated from the documents give their functions.

One rule for every route: the ``operation_id`` that its router gives it, or else the name of the endpoint's function.
Unlike FastAPI's default, such a name changes neither with the path nor with the method.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from fastapi.routing import RouteContext
from starlette.routing import BaseRoute

from gateway.openapi.editions import Edition, edition_of
from gateway.routing.routes import api_routes
from tenants.resources.errors import DeclarationError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)  # an identifier in every language
_REMEDY = "rename a function, or give it an operation_id; write one function for each method"


def operation_id_of(route: RouteContext) -> str:
    """The id of a route's operation."""
    return str(route.operation_id or route.unique_id)


def check_operation_ids(routes: Iterable[BaseRoute]) -> None:
    """Raise DeclarationError for ids that are no names, or that two operations of one document have."""
    named: defaultdict[tuple[Edition, str], list[str]] = defaultdict(list)
    for context, route in api_routes(routes):
        if context.include_in_schema:
            operations = [f"{method} {context.path}" for method in sorted(context.methods or ())]
            named[edition_of(route.terms), operation_id_of(context)] += operations
    faults = [fault for (_, name), operations in named.items() if (fault := _fault(name, operations))]
    if faults:
        raise DeclarationError("The OpenAPI document", *faults)


def _fault(name: str, operations: list[str]) -> str | None:
    if not _NAME.fullmatch(name):
        return f"{operations[0]} has the operation id {name!r}; give it one of letters, digits and underscores"
    if len(operations) > 1:
        return f"{' and '.join(operations)} have the same operation id {name!r}; {_REMEDY}"
    return None
