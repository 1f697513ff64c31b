"""One operation of a document: FastAPI's description, completed from the terms of its route."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi.routing import RouteContext

from gateway.openapi.editions import Edition
from gateway.openapi.errors import error_responses
from gateway.openapi.headers import condition_parameters, header_references
from gateway.request.route import Audience, Terms

Operation = dict[str, Any]  # an Operation Object

_SENTENCE = re.compile(r"(.+?)(?:[.:;] |\.?$)")
_FASTAPIS_DESCRIPTION = "Successful Response"


def complete(operation: Operation, method: str, route: RouteContext, terms: Terms, edition: Edition) -> None:
    """Texts, access, parameters, error responses and header fields."""
    operation["summary"] = _summary(operation, route)
    operation["description"] = "\n\n".join(_paragraphs(operation.get("description", ""), terms))
    operation |= _access(terms, edition)
    parameters = [*operation.pop("parameters", ()), *(terms.query or ())]
    if terms.tagged:
        parameters += condition_parameters(method)
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = _responses(operation, method, terms)


def _summary(operation: Operation, route: RouteContext) -> str:
    """The one that the router gives, or the first sentence of the description, or the words of the name."""
    if route.summary:
        return str(route.summary)
    first = " ".join(operation.get("description", "").partition("\n\n")[0].split())
    sentence = _SENTENCE.match(first)
    return sentence[1] if sentence else str(route.name).replace("_", " ").capitalize()


def _paragraphs(description: str, terms: Terms) -> Iterable[str]:
    if description:
        yield description
    guard = terms.guard
    if guard.audience is Audience.EVERYBODY and guard.operator_roles:
        yield "Requires a signature, or an operator key."
    elif guard.audience is Audience.EVERYBODY:
        yield "No credential is required."
    elif guard.audience is Audience.OPERATORS:
        yield "Requires an operator key."
    elif guard.people_only:
        yield "Requires the access token of a person."
    elif guard.permission is not None:
        exception = ", which people do not need for themselves" if guard.own else ""
        yield f"Requires permission `{guard.permission}`{exception}."
    if terms.feature is not None:
        yield f"Requires the feature `{terms.feature}` of the plan."
    if guard.audience is Audience.TENANTS and terms.cost > 1:
        yield f"Counts as {terms.cost} requests."


def _access(terms: Terms, edition: Edition) -> dict[str, Any]:
    """Credentials, and for tenants cost and permission."""
    guard = terms.guard
    found: dict[str, Any] = {"security": [] if guard.audience is Audience.EVERYBODY else edition.security}
    if guard.audience is Audience.EVERYBODY and guard.operator_roles:
        found["security"] = [*edition.security, {}]  # OpenAPI 3.1, Security Requirement Object: {} makes it optional
    if guard.audience is Audience.TENANTS:
        found["x-cost"] = terms.cost
    if guard.permission is not None:
        found["x-permission"] = guard.permission
    return found


def _responses(operation: Operation, method: str, terms: Terms) -> dict[str, Any]:
    given: dict[str, Any] = operation["responses"]
    given.pop("422", None)  # FastAPI's own shape of errors
    for status, response in given.items():
        if status.startswith("2"):
            _complete_success(response, int(status), terms)
    if terms.tagged and method == "get":
        given["304"] = {"description": HTTPStatus(304).phrase, "headers": header_references(("X-Request-Id", "ETag"))}
    in_path = any(each["in"] == "path" for each in operation.get("parameters", ()))
    errors = error_responses(terms, method, in_path=in_path, body="requestBody" in operation)
    return given | {status: each for status, each in errors.items() if status not in given}


def _complete_success(response: dict[str, Any], status: int, terms: Terms) -> None:
    if response["description"] == _FASTAPIS_DESCRIPTION:
        response["description"] = HTTPStatus(status).phrase
    headers = ["X-Request-Id"]
    if terms.guard.audience is Audience.TENANTS or terms.per_source is not None:
        headers += ["RateLimit-Policy", "RateLimit"]
    if status == HTTPStatus.CREATED:
        headers.append("Location")
    if terms.tagged and "content" in response:
        headers.append("ETag")
    response["headers"] = header_references(headers) | response.get("headers", {})
