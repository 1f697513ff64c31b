"""``@terms(...)``: what a route declares beside its endpoint, below the router's own decorator.

@router.post("/v1/deals/{id}/win")
@terms(requires("deals:win"), cost=2)
async def win_deal(...): ...
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gateway.request.route import DEFAULT_VALUES, Guard, Parameter, Quota, Terms
from tenants.errors import TenantryError
from tenants.resources.errors import DeclarationError

_ATTRIBUTE = "__tenantry_terms__"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def terms(
    guard: Guard,
    *,
    cost: int = 1,
    query: Sequence[Parameter] | None = (),
    body_limit: int | None = None,
    value_limit: int = DEFAULT_VALUES,
    idempotent: bool = True,
    streams: bool = False,
    any_host: bool = False,
    tagged: bool = False,
    errors: Sequence[type[TenantryError]] = (),
    operations: bool = False,
    browsers: bool = True,
    authenticates: bool = False,
    ends_rights: bool = False,
    ending_errors: Sequence[type[TenantryError]] = (),
    per_source: Quota | None = None,
    feature: str | None = None,
) -> Callable[[_Endpoint], _Endpoint]:
    """Declare the terms of an endpoint; see ``Terms`` for what each means.

    Raises TypeError for what is not a guard, ValueError for terms that cannot be applied or are declared twice.
    """
    if not isinstance(guard, Guard):
        raise TypeError("terms() takes a guard first: requires(...), requires_principal, requires_operator or public")
    parameters = None if query is None else tuple(query)
    declared = Terms(
        guard,
        cost=cost,
        query=parameters,
        body_limit=body_limit,
        value_limit=value_limit,
        idempotent=idempotent,
        streams=streams,
        any_host=any_host,
        tagged=tagged,
        errors=tuple(errors),
        operations=operations,
        browsers=browsers,
        authenticates=authenticates,
        ends_rights=ends_rights,
        ending_errors=tuple(ending_errors),
        per_source=per_source,
        feature=feature,
    )

    def declare(endpoint: _Endpoint) -> _Endpoint:
        if hasattr(endpoint, _ATTRIBUTE):
            raise ValueError("the endpoint declares its terms twice")
        setattr(endpoint, _ATTRIBUTE, declared)
        return endpoint

    return declare


def terms_of(path: str, endpoint: Callable[..., Any]) -> Terms:
    """The terms of the endpoint. Raises DeclarationError when it has none (AZ1)."""
    declared = getattr(endpoint, _ATTRIBUTE, None)
    if not isinstance(declared, Terms):
        name = getattr(endpoint, "__name__", "endpoint")
        raise DeclarationError(f"Route {path}", f"{name} has no terms; write @terms(...) below the router's decorator")
    return declared
