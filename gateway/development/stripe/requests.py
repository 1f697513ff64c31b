"""Handling of a request: key, version, parameters, idempotency, endpoint, response."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.development.stripe.errors import StripeError, from_validation
from gateway.development.stripe.form import parse_form
from gateway.development.stripe.idempotency import StoredResponse, fingerprint, store_response, stored_response
from gateway.development.stripe.parameters import Parameters
from gateway.development.stripe.state import Cause, Change, Record, State, new_id

_FORM = "application/x-www-form-urlencoded"
_BODY_LIMIT = 1_048_576  # bytes
_UNAUTHORIZED = 401
P = TypeVar("P", bound=Parameters)

# The API version whose shapes are served. Source: https://docs.stripe.com/api/versioning.
SERVED_VERSION = "2026-10-28.endive"
_OLDEST_VERSION = "2025-03-31"  # basil moved the current period to the subscription's items: the shape served here
_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(\.[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[P]):
    """One route: ``handler(change, parameters, object_id)``; the id is empty where the path has none."""

    method: str
    path: str  # under /v1, in Starlette's form, with at most one parameter named ``id``
    parameters: type[P]
    handler: Callable[[Change, P, str], Record]


AnyEndpoint = Endpoint[Any]


def negotiate(version: str | None) -> str:
    """The version to answer with. Raises StripeError for an invalid version or one whose shapes differ."""
    if version is None:
        return SERVED_VERSION
    match = _VERSION.fullmatch(version)
    if match is None:
        raise StripeError(f"Invalid Stripe API version: {version}")
    if match[1] < _OLDEST_VERSION:
        raise StripeError(f"This stand-in serves the shapes of {_OLDEST_VERSION} and later, not those of {version}.")
    return version


class RequestHandler:
    """Handles the requests to one endpoint."""

    def __init__(self, endpoint: AnyEndpoint, state: State, api_key: str) -> None:
        self._endpoint = endpoint
        self._state = state
        self._api_key = api_key

    async def handle(self, request: Request) -> Response:
        """Stripe's response, also for errors."""
        request_id = new_id("req")
        try:
            authenticate(request.headers.get("authorization"), self._api_key)
            version = negotiate(request.headers.get("stripe-version"))
            response, replayed = self._once(request, await _parameters(request), request_id)
        except StripeError as error:
            return error_response(error, request_id)
        headers = {"Request-Id": request_id, "Stripe-Version": version}
        if replayed:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": response.request_id}
        return _json(response.body, response.status, headers)

    def _once(self, request: Request, sent: dict[str, Any], request_id: str) -> tuple[StoredResponse, bool]:
        """The response, and whether it is a replay. The change and the stored response are committed together."""
        key = request.headers.get("idempotency-key") if self._endpoint.method == "POST" else None
        parameters = _typed(self._endpoint, sent)
        requested = fingerprint(request.method, request.url.path, sent)
        with self._state.change(Cause(request_id, key)) as change:
            if key and (stored := stored_response(change, key, requested)):
                return stored, True
            body = self._endpoint.handler(change, parameters, request.path_params.get("id", ""))
            response = StoredResponse(200, body, request_id)
            if key:
                store_response(change, key, requested, response)
        return response, False


async def unknown_route(request: Request, _: Exception) -> Response:
    """The response of every URL that Stripe does not have, or that is not implemented."""
    message = (
        f"Unrecognized request URL ({request.method}: {request.url.path}). If you are trying to list objects, remove"
        " the trailing slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty)"
        " identifier in your code. This stand-in serves a part of Stripe's API only."
    )
    return error_response(StripeError(message, status=404), new_id("req"))


async def internal_error(_request: Request, _: Exception) -> Response:
    """An internal error of the stand-in, in Stripe's shape; the traceback is in its log."""
    message = "Internal error of the stand-in. See its log."
    return error_response(StripeError(message, status=500, kind="api_error"), new_id("req"))


def error_response(error: StripeError, request_id: str) -> Response:
    """The error object, with the headers that Stripe gives it."""
    headers = {"Request-Id": request_id, "Stripe-Version": SERVED_VERSION}
    if error.status == _UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    return _json(error.body(), error.status, headers)


def authenticate(header: str | None, api_key: str) -> None:
    """The secret key as a bearer token or as the user name of basic authentication.

    Source: https://docs.stripe.com/api/authentication.
    """
    if not header:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, using"
            " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise StripeError(message, status=_UNAUTHORIZED)
    given = _credential(header)
    if not hmac.compare_digest(given.encode(), api_key.encode()):
        raise StripeError(f"Invalid API Key provided: {_mrequested(given)}", status=_UNAUTHORIZED)


def _credential(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _mrequested(key: str) -> str:
    return f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * len(key)  # noqa: PLR2004 - enough to hide some


async def _parameters(request: Request) -> dict[str, Any]:
    parameters = parse_form(request.url.query)
    body = await _body(request)
    if not body:
        return parameters
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        message = f"Invalid request (check that your POST content type is {_FORM})."
        raise StripeError(message)
    try:
        return parameters | parse_form(body.decode())
    except UnicodeDecodeError as error:
        raise StripeError("Invalid request: the body is not UTF-8.") from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise StripeError("The request body is too large.", status=413)
    return bytes(body)


def _typed(endpoint: AnyEndpoint, sent: dict[str, Any]) -> Any:
    try:
        return endpoint.parameters.model_validate(sent)
    except ValidationError as problem:
        raise from_validation(problem) from problem


def _json(body: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    return JSONResponse(body, status, headers)
