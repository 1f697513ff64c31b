"""``/problems`` and ``/problems/{code}``: the pages that the ``type`` of a problem document links to.

They are generated from the error classes, so that every code has a page.
"""

from html import escape

from fastapi import Response

from gateway.api.html import page
from gateway.authorization.guards import public
from gateway.problems.documents import catalogue, status_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from tenants.errors import ErrorKind, NotFound, TenantryError

_WHAT_TO_DO: dict[ErrorKind, str] = {
    ErrorKind.MALFORMED: "Correct the request. The same request will fail again.",
    ErrorKind.UNAUTHENTICATED: "Send a valid credential. 401 always means the credential, never an outage.",
    ErrorKind.FORBIDDEN: "Ask an admin of the tenant for the permission, or use a credential that has it.",
    ErrorKind.NOT_FOUND: "Check the path and the id. Objects of another tenant are reported as not found.",
    ErrorKind.CONFLICT: "Read the current state and send a request that fits it.",
    ErrorKind.PRECONDITION_FAILED: "Read the object again, apply the change, and send the new ETag in If-Match.",
    ErrorKind.TOO_LARGE: "Send a smaller request.",
    ErrorKind.INVALID: "Correct the values that the errors member lists by pointer, code and message.",
    ErrorKind.THROTTLED: "Wait for the number of seconds in Retry-After, then retry.",
    ErrorKind.INTERNAL: "Retry later. If the error persists, report it with the request_id.",
    ErrorKind.UPSTREAM: "The upstream service failed. Retry later.",
    ErrorKind.UNAVAILABLE: "Wait for the number of seconds in Retry-After, then retry.",
    ErrorKind.UPSTREAM_TIMEOUT: "The upstream service did not respond in time. Retry later.",
}

router = ManagementRouter(prefix="/problems", include_in_schema=False)


@router.get("")
@terms(public, query=None)
async def list_problems() -> Response:
    """List every code with its status and title."""
    lines = (
        f'<dt><a href="problems/{code}"><code>{code}</code></a></dt><dd>{status_of(error)} {escape(error.title)}</dd>\n'
        for code, error in catalogue().items()
    )
    return page("Problems", f"<dl>\n{''.join(lines)}</dl>\n")


@router.get("/{code}")
@terms(public, query=None)
async def read_problem(code: str) -> Response:
    """Explain one code and what to do about it. Raises NotFound."""
    error = catalogue().get(code)
    if error is None:
        raise NotFound
    return page(error.title, _description(error))


def _description(error: type[TenantryError]) -> str:
    return (
        f"<dl>\n<dt>Code</dt><dd><code>{escape(error.code)}</code></dd>\n"
        f"<dt>Status</dt><dd>{status_of(error)}</dd>\n"
        f"<dt>Meaning</dt><dd>{escape(error.message)}</dd>\n"
        f"<dt>What to do</dt><dd>{escape(_WHAT_TO_DO[error.kind])}</dd>\n</dl>\n"
        '<p><a href="../problems">All problems</a></p>\n'
    )
