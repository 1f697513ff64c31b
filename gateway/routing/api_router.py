"""The router that endpoints are registered with: FastAPI's, with terms on every route and strict bodies."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import fastapi
from fastapi import Request, Response
from fastapi.params import Form
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from gateway.problems.scim import SCIM_MEDIA_TYPE
from gateway.request.route import Budget, ErrorFormat
from gateway.routing.body import StrictRequest, read_document
from gateway.routing.bounds import with_bounds
from gateway.routing.terms import terms_of
from tenants.resources.errors import DeclarationError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ApiRoute(APIRoute):
    """A route with terms. Raises DeclarationError for an endpoint that has none, or that would read a body laxly."""

    budget = Budget.PLAN
    error_format = ErrorFormat.PROBLEM

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.terms = replace(terms_of(path, endpoint), budget=self.budget, error_format=self.error_format)
        super().__init__(path, endpoint, **options)
        has_body = self.body_field is not None
        self.terms = with_bounds(path, self.terms, has_body=has_body, is_json=has_body and not self._takes_form)
        if (self.is_sse_stream or self.is_json_stream) and not self.terms.streams:
            raise DeclarationError(f"Route {path}", "the endpoint is a generator; declare streams=True in its terms")
        for model in self._body_models():
            if model.model_config.get("extra") != "forbid":
                raise DeclarationError(
                    f"Route {path}", f"{model.__name__} would ignore unknown fields; set extra='forbid' in its config"
                )

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, behind a strict reading of the body.

        FastAPI itself reads with the standard library, which takes NaN and repeated names and fails with a 500 on lone
        surrogates and deep nesting; and it reports an unreadable body without what was wrong with it.
        """
        handler = super().get_route_handler()
        if self.body_field is None or self._takes_form:
            return handler

        async def strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive, self.terms.value_limit)
            await read_document(strict)
            return await handler(strict)

        return strictly

    @property
    def _takes_form(self) -> bool:
        return self.body_field is not None and isinstance(self.body_field.field_info, Form)

    def _body_models(self) -> list[type[BaseModel]]:
        annotations = [each.field_info.annotation for each in self.dependant.body_params]
        return [each for each in annotations if isinstance(each, type) and issubclass(each, BaseModel)]


class ManagementRoute(ApiRoute):
    """A route whose requests are charged to the management windows, never to the plan."""

    budget = Budget.MANAGEMENT


class ScimRoute(ApiRoute):
    """A route of SCIM: charged to windows of its own, with SCIM's errors."""

    budget = Budget.SCIM
    error_format = ErrorFormat.SCIM


class OAuthRoute(ManagementRoute):
    """A route of OAuth 2.0, with its errors."""

    error_format = ErrorFormat.OAUTH


class APIRouter(fastapi.APIRouter):
    """``fastapi.APIRouter`` whose endpoints declare ``@terms(...)``. Tenants' plans are charged for them.

    The operation id of an endpoint is its ``operation_id``, or else its function's name.
    """

    def __init__(self, **options: Any) -> None:
        defaults: dict[str, Any] = {"route_class": ApiRoute, "generate_unique_id_function": _name}
        super().__init__(**defaults | options)


class ManagementRouter(APIRouter):
    """The router of Tenantry's own API: a plan that is used up or flooded must not keep an admin from managing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"route_class": ManagementRoute} | options)


class ScimResponse(JSONResponse):
    """Names the media type of SCIM (RFC 7644 section 8.1) in the document."""

    media_type = SCIM_MEDIA_TYPE


class ScimRouter(ManagementRouter):
    """The router of SCIM."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"route_class": ScimRoute, "default_response_class": ScimResponse} | options)


class OAuthRouter(ManagementRouter):
    """The router of the token endpoint."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"route_class": OAuthRoute} | options)


def _name(route: APIRoute) -> str:
    return route.name
