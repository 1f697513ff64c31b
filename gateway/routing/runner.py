"""From a route that the gate has found to its response: the query checked, the body read, the endpoint called.

FastAPI injects and serializes for any endpoint, which takes longer than fetching a row. An endpoint that takes nothing
but its request, parameters of the path and one body model, and that returns a response, needs neither: it is called
directly. Every other one is called by FastAPI, past its router and middleware, which the gate replaces.

A change that takes rights away (``ends_rights``) is answered when every worker applies it (docs/decisions/0040).
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.params import Form
from fastapi.routing import RouteContext
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems.documents import as_tenantry_error
from gateway.problems.validation import validation_failed
from gateway.request.route import Terms
from gateway.routing.body import NO_BODY, StrictRequest, bounded, read_document, uncoded
from gateway.routing.query import Check, check_of, flags_check
from tenants.errors import NotFound
from tenants.resources.errors import DeclarationError

_Endpoint = Callable[..., Awaitable[Response]]

_MISSING = ({"type": "missing", "loc": ("body",)},)


@dataclass(frozen=True, slots=True)
class _Body:
    """The one body model of an endpoint."""

    name: str
    model: type[BaseModel]
    required: bool


@dataclass(frozen=True, slots=True)
class _DirectCall:
    """How an endpoint is called without FastAPI."""

    endpoint: _Endpoint
    request: str | None  # names of its parameters
    path: tuple[ModelField, ...]
    body: _Body | None


def runner_of(route: RouteContext, terms: Terms, app: FastAPI) -> ASGIApp:
    """The application that answers this route, given a scope with ``path_params`` in it.

    Raises DeclarationError for ``ends_rights`` on an endpoint whose answer is not made before it is sent.
    """
    check = _check_of(route, terms)
    call = None if terms.streams else _direct_call(route)
    if call is None and (terms.ends_rights or terms.ending_errors):
        raise DeclarationError(f"Route {route.path}", "ends_rights needs an endpoint that returns a Response itself")
    answer = _injected(route, check, app) if call is None else _direct(call, check, app, terms)
    return answer if terms.body_limit is None else bounded(answer, terms.body_limit)


def _check_of(route: RouteContext, terms: Terms) -> Check | None:
    """What is checked of the query before the endpoint is called; None where the endpoint checks it itself."""
    if terms.query:
        return flags_check(terms.query)
    return None if terms.query is None else check_of(route.dependant)


def _direct(call: _DirectCall, check: Check | None, app: FastAPI, terms: Terms) -> ASGIApp:
    value_limit, confirmed = terms.value_limit, terms.ends_rights or terms.ending_errors
    endpoint = _confirmed(call.endpoint, terms, app) if confirmed else call.endpoint

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if check is not None and scope["query_string"]:
            check(scope)
        scope["app"], receive = app, uncoded(scope, receive)
        values: dict[str, Any] = _path_values(call.path, scope) if call.path else {}
        if call.body is None:
            request = Request(scope, receive)
        else:
            request = StrictRequest(scope, receive, value_limit)
            if (body := await _read(request, call.body)) is not None:
                values[call.body.name] = body
        if call.request is not None:
            values[call.request] = request
        response = await endpoint(**values)
        await response(scope, receive, send)

    return answer


def _confirmed(endpoint: _Endpoint, terms: Terms, app: FastAPI) -> _Endpoint:
    """The endpoint, which returns when every worker applies what it has committed. Another error has taken nothing."""

    async def confirmed(**values: Any) -> Response:
        try:
            response = await endpoint(**values)
        except terms.ending_errors:
            await app.state.confirm()
            raise
        if terms.ends_rights:
            await app.state.confirm()
        return response

    return confirmed


def _injected(route: RouteContext, check: Check | None, app: FastAPI) -> ASGIApp:
    call = AsyncExitStackMiddleware(route.app)  # for FastAPI to close uploaded files after the response

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if check is not None and scope["query_string"]:
            check(scope)
        scope["app"], scope["route"], scope["endpoint"] = app, route.original_route, route.endpoint
        try:
            await call(scope, uncoded(scope, receive), send)
        except (RequestValidationError, HTTPException) as error:
            raise as_tenantry_error(error) from error

    return answer


def _direct_call(route: RouteContext) -> _DirectCall | None:
    """How to call the endpoint directly; None for one that needs FastAPI."""
    dependant: Dependant = route.dependant
    endpoint = route.endpoint
    if endpoint is None or not inspect.iscoroutinefunction(endpoint) or not _returns_response(endpoint):
        return None
    if _is_injected(dependant) or len(dependant.body_params) > 1:
        return None
    body = _body(dependant.body_params[0]) if dependant.body_params else None
    if dependant.body_params and body is None:
        return None
    return _DirectCall(endpoint, dependant.request_param_name, tuple(dependant.path_params), body)


def _is_injected(dependant: Dependant) -> bool:
    return bool(
        dependant.dependencies
        or dependant.query_params
        or dependant.header_params
        or dependant.cookie_params
        or dependant.http_connection_param_name
        or dependant.response_param_name
        or dependant.background_tasks_param_name
        or dependant.security_scopes_param_name
    )


def _returns_response(endpoint: Callable[..., Any]) -> bool:
    returned = inspect.signature(endpoint, eval_str=True).return_annotation
    return isinstance(returned, type) and issubclass(returned, Response)


def _body(field: ModelField) -> _Body | None:
    info, model = field.field_info, field.field_info.annotation
    if isinstance(info, Form) or getattr(info, "embed", None):
        return None
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        return None
    return _Body(field.name, model, info.is_required())


def _path_values(fields: tuple[ModelField, ...], scope: Scope) -> dict[str, Any]:
    """Raises NotFound for what the path's parameter cannot be."""
    values = {}
    for field in fields:
        value, faults = field.validate(scope["path_params"][field.alias])
        if faults:
            raise NotFound
        values[field.name] = value
    return values


async def _read(request: StrictRequest, body: _Body) -> BaseModel | None:
    """The body as its model; None leaves the endpoint to its default. Raises ValidationFailed."""
    document = await read_document(request)
    if document is NO_BODY:
        if body.required:
            raise validation_failed(_MISSING)
        return None
    try:
        return body.model.model_validate(document)
    except ValidationError as error:
        raise validation_failed(error.errors(include_url=False, include_input=False), within=("body",)) from None
