"""``/problems`` and ``/problems/{code}``: the pages that the ``type`` of every problem document leads to.

Small, without script, made from the error classes themselves, so that no code is without its page.
"""

import base64
import hashlib
from html import escape
from string import Template

from fastapi import Response

from gateway.authorization.guards import public
from gateway.problems.documents import catalogue, status_of
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tenants.errors import ErrorKind, NotFound, TenantryError

_WHAT_TO_DO: dict[ErrorKind, str] = {
    ErrorKind.MALFORMED: "Mend the request; sent again as it is, it will be refused again.",
    ErrorKind.UNAUTHENTICATED: "Send a credential that is valid. 401 only ever means the credential, never an outage.",
    ErrorKind.FORBIDDEN: "Ask an admin of the tenant. Another credential may be allowed what this one is not.",
    ErrorKind.NOT_FOUND: "Check the path and the id. What belongs to another tenant looks as if it did not exist.",
    ErrorKind.CONFLICT: "Read the current state, decide anew, and send a request that fits it.",
    ErrorKind.PRECONDITION_FAILED: "Read the object again, apply the change to it, and send its new ETag in If-Match.",
    ErrorKind.TOO_LARGE: "Send less at a time.",
    ErrorKind.INVALID: "The member errors tells by pointer, code and message what is wrong where. Mend that.",
    ErrorKind.THROTTLED: "Wait as many seconds as Retry-After says, then send the request again.",
    ErrorKind.INTERNAL: "The fault is ours. Quote the request_id when you report it.",
    ErrorKind.UPSTREAM: "The service behind this one failed. Try again later.",
    ErrorKind.UNAVAILABLE: "Wait as many seconds as Retry-After says and send the request again.",
    ErrorKind.UPSTREAM_TIMEOUT: "The service behind this one did not answer in time. Try again later.",
}
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;"
    "padding:0 1rem}code{font-family:ui-monospace,monospace}dt{font-weight:600}dd{margin:0 0 1rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'",
    "cache-control": "public, max-age=3600",
}
_PAGE = Template(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<title>$title</title><style>{_STYLE}</style></head>\n<body><main><h1>$title</h1>\n$content</main></body></html>\n"
)

router = APIRouter(prefix="/problems", include_in_schema=False)


@router.get("")
@terms(public, query=None)
async def list_problems() -> Response:
    """Every code with its status and title."""
    lines = (
        f'<dt><a href="problems/{code}"><code>{code}</code></a></dt><dd>{status_of(error)} {escape(error.title)}</dd>\n'
        for code, error in catalogue().items()
    )
    return _page("Problems", f"<dl>\n{''.join(lines)}</dl>\n")


@router.get("/{code}")
@terms(public, query=None)
async def read_problem(code: str) -> Response:
    """What one code means and what to do about it. Raises NotFound."""
    error = catalogue().get(code)
    if error is None:
        raise NotFound
    return _page(error.title, _description(error))


def _description(error: type[TenantryError]) -> str:
    return (
        f"<dl>\n<dt>Code</dt><dd><code>{escape(error.code)}</code></dd>\n"
        f"<dt>Status</dt><dd>{status_of(error)}</dd>\n"
        f"<dt>Meaning</dt><dd>{escape(error.message)}</dd>\n"
        f"<dt>What to do</dt><dd>{escape(_WHAT_TO_DO[error.kind])}</dd>\n</dl>\n"
        '<p><a href="../problems">All problems</a></p>\n'
    )


def _page(title: str, content: str) -> Response:
    html = _PAGE.substitute(title=escape(title), content=content)
    return Response(html, headers=_HEADERS, media_type="text/html")
