"""The OpenAPI 3.1 document of an edition: FastAPI's description of its routes, completed from their terms.

It is generated from the terms and never read back.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from string import Template
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext
from starlette.routing import BaseRoute

from gateway.openapi.components import (
    OAUTH_ERROR_NAME,
    PROBLEM_NAME,
    SCIM_ERROR_NAME,
    oauth_error_schema,
    problem_schema,
    scim_error_schema,
    shorten_names,
)
from gateway.openapi.editions import Edition, edition_of
from gateway.openapi.examples import NONE, Examples
from gateway.openapi.headers import HEADERS
from gateway.openapi.operations import Operation, complete
from gateway.request.route import ErrorFormat, Terms
from gateway.routing.routes import api_routes
from gateway.version import VERSION
from tenants.resources.registry import Registry

_Routed = tuple[RouteContext, Terms]
_FASTAPIS_SCHEMAS = ("HTTPValidationError", "ValidationError")
_JSON = "json"


@dataclass(frozen=True, slots=True)
class Describer:
    """Describes the routes of one deployment."""

    routes: Sequence[BaseRoute]
    registry: Registry
    public_url: str

    def describe(self, edition: Edition) -> dict[str, Any]:
        """The document of an edition. Takes some 200 ms of CPU."""
        routes = list(self._of(edition))
        base = self.public_url.rstrip("/")
        document = get_openapi(
            title=edition.title,
            version=VERSION,
            description=Template(edition.introduction.read_text(encoding="utf-8")).substitute(base=base),
            routes=[context for context, _ in routes],
            servers=[{"url": base}],
        )
        shorten_names(document)
        _complete_operations(document, routes, edition)
        document["tags"] = list(self._tags(document, edition))
        _complete_components(document, edition, base, {terms.error_format for _, terms in routes})
        return document

    def _of(self, edition: Edition) -> Iterator[_Routed]:
        for context, route in api_routes(self.routes):
            if context.include_in_schema and edition_of(route.terms) is edition:
                yield context, route.terms

    def _tags(self, document: Mapping[str, Any], edition: Edition) -> Iterator[dict[str, str]]:
        """Those of the SaaS before the edition's own."""
        descriptions = {each.name: each.resource.description for each in self.registry.collections}
        used = dict.fromkeys(tag for _, each in operations_of(document) for tag in each.get("tags", ()))
        for name in (*(each for each in used if each not in edition.tags), *edition.tags):
            if name in used:
                description = edition.tags.get(name) or descriptions.get(name)
                yield {"name": name} | ({"description": description} if description else {})


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
    """Every operation of a document with its method, in lower case."""
    for item in document["paths"].values():
        yield from item.items()


def _complete_operations(document: dict[str, Any], routes: Sequence[_Routed], edition: Edition) -> None:
    for context, terms in routes:
        for method in map(str.lower, context.methods or ()):
            complete(document["paths"][context.path_format][method], method, context, terms, edition)


def _complete_components(
    document: dict[str, Any], edition: Edition, base: str, formats: AbstractSet[ErrorFormat]
) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FASTAPIS_SCHEMAS:
        schemas.pop(name, None)
    components["securitySchemes"] = edition.schemes
    components["headers"] = HEADERS
    schemas[PROBLEM_NAME] = problem_schema(base)
    if ErrorFormat.SCIM in formats:
        schemas[SCIM_ERROR_NAME] = scim_error_schema()
    if ErrorFormat.OAUTH in formats:
        schemas[OAUTH_ERROR_NAME] = oauth_error_schema(base)
    examples = Examples(schemas)
    for _, operation in operations_of(document):
        for content in _bodies(operation):
            _add_example(content, examples)


def _bodies(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Media types with their Media Type Objects: of the request, and of every successful response."""
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from response.get("content", {}).items()


def _add_example(content: tuple[str, dict[str, Any]], examples: Examples) -> None:
    media_type, body = content
    if media_type.endswith(_JSON) and "example" not in body and "examples" not in body:
        example = examples.of(body.get("schema", {}))
        if example is not NONE:
            body["example"] = example
