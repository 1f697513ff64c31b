"""``/``: where to go from here. A page for a browser, the same links as JSON for every other client."""

from collections.abc import Mapping
from html import escape

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from gateway.api.html import page
from gateway.authorization.guards import public
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of

_JSON = "application/json"
_HTML = "text/html"
# Name, path, title, and what it is.
_LINKS = (
    ("documentation", "docs", "API reference", "for integrators and tenants"),
    ("openapi", "openapi.json", "OpenAPI document", "of the API, to generate a client from"),
    ("operator_documentation", "operator/docs", "Operator API reference", "for the operators of this deployment"),
    ("operator_openapi", "operator/openapi.json", "Operator OpenAPI document", "of the operator API"),
    ("problems", "problems", "Error codes", "what each code means and what to do"),
    ("jwks", ".well-known/jwks.json", "Public keys", "that verify access tokens (JWKS)"),
    ("security", ".well-known/security.txt", "Security contact", "for vulnerability reports"),
    ("liveness", "livez", "Liveness", "whether a worker process runs"),
    ("readiness", "readyz", "Readiness", "whether requests can be served"),
)

router = ManagementRouter(include_in_schema=False)


@router.get("/")
@terms(public, query=None)
async def read_start_page(request: Request) -> Response:
    """Links to the documentation and the probes."""
    response = _html() if prefers_html(request.headers.get("accept", "")) else _json(request)
    response.headers["vary"] = "Accept"
    return response


def prefers_html(accept: str) -> bool:
    """Whether the Accept field ranks HTML above JSON, as every browser's does (RFC 9110 section 12.5.1)."""
    ranges = dict(map(_range, accept.lower().split(",")))
    return _quality(_HTML, ranges) > _quality(_JSON, ranges)


def _range(text: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip() for part in text.split(";"))
    weights = [each.removeprefix("q=") for each in parameters if each.startswith("q=")]
    try:
        return media_range, float(weights[0]) if weights else 1.0
    except ValueError:
        return media_range, 0.0


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    """The most specific range that matches applies."""
    any_subtype = media_type.partition("/")[0] + "/*"
    return next((ranges[each] for each in (media_type, any_subtype, "*/*") if each in ranges), 0.0)


def _html() -> Response:
    lines = (
        f'<dt><a href="{path}">{escape(title)}</a></dt><dd>{escape(description)}</dd>\n'
        for _, path, title, description in _LINKS
    )
    return page("Tenantry API", f"<dl>\n{''.join(lines)}</dl>\n")


def _json(request: Request) -> Response:
    base = services_of(request).settings.public_url.rstrip("/")
    links = {name: f"{base}/{path}" for name, path, _, _ in _LINKS}
    return JSONResponse(links, headers={"cache-control": "public, max-age=3600"})
