"""``/openapi.json`` and ``/docs``: the API's own documentation, from files that the installation contains.

FastAPI's page loads its script from a CDN and starts it inline; ours does neither, and works offline.
"""

from importlib.resources import files
from pathlib import Path

import fastapi_offline
import orjson
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from gateway.authorization.guards import public
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tenants.errors import NotFound

_FILES = Path(str(files(fastapi_offline))) / "static"
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
_START = b"""SwaggerUIBundle({
  url: "openapi.json", dom_id: "#documentation", deepLinking: true, tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout", validatorUrl: null, persistAuthorization: false
});
"""
_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tenantry API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="docs/assets/favicon.png"><link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body><main id="documentation"></main>
<script src="docs/assets/swagger-ui-bundle.js"></script><script src="docs/assets/start.js"></script></body></html>
"""
# Swagger UI draws its icons from data: URLs and sets style attributes; it needs no inline script and no eval.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KEPT = {"cache-control": "public, max-age=3600"}

router = APIRouter(include_in_schema=False)
_open = terms(public, query=None)


@router.get("/openapi.json")
@_open
async def read_openapi(request: Request) -> Response:
    """The OpenAPI document of every management and data endpoint."""
    state = request.app.state
    if not hasattr(state, "openapi_body"):
        document = await run_in_threadpool(request.app.openapi)  # half a second of CPU
        state.openapi_body = orjson.dumps(document)
    return Response(state.openapi_body, media_type="application/json", headers={"cache-control": "no-cache"})


@router.get("/docs")
@_open
async def read_docs() -> Response:
    """The page that renders the document and sends requests from it."""
    return Response(_PAGE, media_type="text/html", headers={"content-security-policy": _PAGE_POLICY, **_KEPT})


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
