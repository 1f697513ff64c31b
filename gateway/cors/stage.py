"""The stage that answers preflights, and lets pages of allowed origins read their answers.

Closed by default: a request from any other origin is served as usual and gets no field, so that no page can read the
answer. ``Access-Control-Allow-Credentials`` is never sent: a browser adds no cookie, a page has to hold a bearer token.
"""

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from gateway.cors.origins import Origins
from gateway.request.context import Header, RequestContext
from gateway.request.route import PUBLIC, Route, Terms
from gateway.routing.stage import RoutingStage

_ORIGIN, _METHOD = b"origin", b"access-control-request-method"
_NOT_KEPT: Header = (b"vary", b"Origin")  # a shared cache must not give one origin's answer to another
_READABLE: Header = (
    b"access-control-expose-headers",
    b"RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, ETag, Location, Idempotent-Replayed, Deprecation, Sunset",
)
# The same for every route: a method that a path does not offer is then answered by a 405 that the page can read.
_PERMITTED: list[Header] = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, X-API-Key, Content-Type, If-Match, If-None-Match, Idempotency-Key",
    ),
    (b"access-control-max-age", b"600"),
]


async def _permit(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": _PERMITTED})
    await send({"type": "http.response.body", "body": b""})


PREFLIGHT = Route("OPTIONS", "/(preflight)", Terms(PUBLIC), _permit)


class CorsStage:
    """Comes after routing and before identity. Costs a request without Origin one look-up.

    A preflight is routed to an application that permits everything the API offers, and passes the later stages as a
    public route does: nothing is charged, counted, or read from a store. Only its origin and its route are judged.
    """

    def __init__(self, origins: Origins, routing: RoutingStage) -> None:
        self._origins = origins
        self._routing = routing

    def __call__(self, request: RequestContext) -> None:
        origin = request.fields.by_name.get(_ORIGIN)
        if origin is not None:
            self._judge(request, origin)

    def _judge(self, request: RequestContext, origin: bytes) -> None:
        wanted = request.fields.by_name.get(_METHOD) if request.scope["method"] == "OPTIONS" else None
        route = request.route if wanted is None else self._wanted_route(request, wanted)
        if route is None or not route.terms.open_to_browsers or not self._origins.is_known(origin):
            return
        request.late_headers = self._fields
        if wanted is not None:
            request.route = PREFLIGHT

    def _wanted_route(self, request: RequestContext, method: bytes) -> Route | None:
        """What the request after the preflight will reach. Routing may have refused the path itself."""
        if request.route is None or not request.route.template:
            return request.route
        return self._routing.find(request, method.decode("latin-1"))[0]

    def _fields(self, request: RequestContext) -> Iterable[Header]:
        """When the answer begins, its tenant is known, if it has one: its own origins may read it, and no other's.

        An answer without a tenant, such as a 401, is for every page that was permitted to ask. Staff use no browser
        here, so that a page of a tenant never reads what only an operator can.
        """
        origin, principal = request.fields.by_name[_ORIGIN], request.principal
        if request.operator is not None:
            return ()
        if principal is not None and not self._origins.may_read(origin, principal.tenant.id):
            return ()
        return (b"access-control-allow-origin", origin), _NOT_KEPT, _READABLE
