"""The two OpenAPI documents and the pages that render them, from files that the installation contains.

``/openapi.json`` and ``/docs`` are for integrators and tenants, ``/operator/openapi.json`` and ``/operator/docs`` for
operators. FastAPI's page loads its script from a CDN and starts it inline; ours do neither, and work offline.
"""

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import fastapi_offline
from fastapi import Request, Response
from fastapi.responses import FileResponse

from gateway.api.answers import read_published
from gateway.authorization.guards import public
from gateway.openapi.editions import OPERATORS, TENANTS, Edition
from gateway.openapi.published import documents_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from tenants.errors import NotFound

_FILES = Path(str(files(fastapi_offline))) / "static"
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
# One script for both pages: the document is beside the page, and data-root leads to the gateway's root. Requests go to
# the address that the page was loaded from, such as localhost in development: the page's policy allows no other.
_START = b"""const here = new URL(document.getElementById("documentation").dataset.root, location.href);
const server = {url: here.href.replace(/\\/$/, ""), description: "The address of this page"};
fetch("openapi.json").then((answer) => answer.json()).then((spec) => SwaggerUIBundle({
  spec: {...spec, servers: [server, ...spec.servers.filter((each) => each.url !== server.url)]},
  dom_id: "#documentation", deepLinking: true, tryItOutEnabled: true, persistAuthorization: false, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"
}));
"""
# Relative addresses: a proxy may serve the gateway under a prefix.
_PAGE = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="$root/docs/assets/favicon.png">
<link rel="stylesheet" href="$root/docs/assets/swagger-ui.css"></head>
<body><main id="documentation" data-root="$root"><noscript><h1>$title</h1>
<p>This page needs JavaScript. The <a href="openapi.json">OpenAPI document</a> has the same content.</p></noscript>
</main>
<script src="$root/docs/assets/swagger-ui-bundle.js"></script>
<script src="$root/docs/assets/start.js"></script></body></html>
"""
)
# Swagger UI draws its icons from data: URLs and sets style attributes; it needs no inline script and no eval.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KEPT = {"cache-control": "public, max-age=3600"}

router = ManagementRouter(include_in_schema=False)
_open = terms(public, query=None)
_of_operators = terms(public, query=None, browsers=False)


@router.get("/openapi.json")
@_open
async def read_openapi(request: Request) -> Response:
    """The OpenAPI document for integrators and tenants."""
    return read_published(request, await documents_of(request).read(TENANTS))


@router.get("/operator/openapi.json")
@_of_operators
async def read_operator_openapi(request: Request) -> Response:
    """The OpenAPI document for operators. It describes, and grants nothing."""
    return read_published(request, await documents_of(request).read(OPERATORS))


@router.get("/docs")
@_open
async def read_docs() -> Response:
    """The page that renders the document for integrators and tenants, and sends requests from it."""
    return _page(TENANTS, ".")


@router.get("/operator/docs")
@_of_operators
async def read_operator_docs() -> Response:
    """The same page for operators."""
    return _page(OPERATORS, "..")


@router.get("/docs/assets/start.js")
@_open
async def read_start() -> Response:
    """The script that starts the page."""
    return Response(_START, media_type="text/javascript", headers=_KEPT)


@router.get("/docs/assets/{name}")
@_open
async def read_asset(name: str) -> Response:
    """One of the page's files. Raises NotFound for any other name."""
    media_type = _ASSETS.get(name)
    if media_type is None:
        raise NotFound
    return FileResponse(_FILES / name, media_type=media_type, headers=_KEPT)


def _page(edition: Edition, root: str) -> Response:
    html = _PAGE.substitute(title=escape(edition.title), root=root)
    return Response(html, media_type="text/html", headers={"content-security-policy": _PAGE_POLICY, **_KEPT})
