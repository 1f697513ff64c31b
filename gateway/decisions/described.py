"""``/authorize``: the request that a proxy in front describes (docs/decisions/0055-the-gates-answer-for-others.md).

nginx, Traefik, Caddy and Envoy ask before they forward a request. The stage puts the request that they describe in the
place of their own, so that every later stage decides on it as on any other, and answers as for any other. A request
that all of them admit is answered with 200 and the identity of its principal, in place of the route's application.

A proxy describes a request in one of three forms, of which no field may be missing: a field that a proxy does not set
is one that its clients can set.

- nginx: ``X-Original-Method``, ``X-Original-URI``, ``X-Original-Host``
- Traefik, Caddy: ``X-Forwarded-Method``, ``X-Forwarded-Uri``, ``X-Forwarded-Host``
- Envoy: its own method and Host, and ``/authorize`` before the path

In each of them the last address in ``X-Forwarded-For`` is the client's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.decisions.identities import DecidedIdentities
from gateway.decisions.targets import TargetReader
from gateway.http1.header_fields import is_valid_host
from gateway.http1.request_head import RequestHead
from gateway.problems.errors import MalformedRequest
from gateway.request.client import PROXIED
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import Field, RequestFields
from gateway.request.source import SourceReader, parse_address
from tenants.values.networks import plain_network

PATH = b"/authorize"
_BELOW = b"/"
_CACHED_PEERS = 1_024
_FORWARDED_FOR, _FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
_SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
_IDENTITY, _PROBLEM = b"tenantry-identity", b"tenantry-problem"
_ALLOWED: list[Field] = [(b"content-length", b"0"), (b"cache-control", b"no-store")]


class BadDescription(MalformedRequest):
    message = (
        "The request is not described completely in one form. See the configuration of proxies in the documentation."
    )


class _Form(NamedTuple):
    """The names of the fields that describe a request."""

    method: bytes
    uri: bytes
    host: bytes


_ORIGINAL = _Form(b"x-original-method", b"x-original-uri", b"x-original-host")
_FORWARDED = _Form(b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host")
_FORMS = (_ORIGINAL, _FORWARDED)
_DESCRIBING = frozenset({*_ORIGINAL, *_FORWARDED, b"host"})
# Pages of other origins, and their preflights, are left to the proxy: the answer here is never one to a page.
_LEFT_OUT = _DESCRIBING | {b"origin"}


class EdgeAnswer:
    """The answer to a proxy. ``repeats_problem``: also in a field, for a proxy that drops the body of a refusal."""

    def __init__(self, identities: DecidedIdentities, *, repeats_problem: bool) -> None:
        self._identities = identities
        self._repeats_problem = repeats_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = context_of(scope)
        if request.route is not None and not request.route.method:
            await request.route.app(scope, receive, send)  # no route: raises NotFound or MethodNotAllowed
            return
        identity = self._identities.of(request)
        headers = _ALLOWED if identity is None else [*_ALLOWED, (_IDENTITY, identity)]
        # Fields for browsers are of no use to a proxy, which parses them.
        await send({"type": "http.response.start", "status": 200, "headers": headers, PROXIED: True})
        await send({"type": "http.response.body", "body": b""})

    def refuse(self, response: Response) -> None:
        """Some proxies, such as nginx, pass on the fields of a refusal and not its body."""
        body = bytes(response.body)
        if self._repeats_problem and body.isascii():
            response.raw_headers.append((_PROBLEM, body))


@dataclass(frozen=True, slots=True)
class _Described:
    """What the header fields describe. ``head`` is None where the request line does."""

    head: RequestHead | None
    headers: list[Field]
    fields: RequestFields
    client: str
    scheme: str
    answer: EdgeAnswer


class DescribedRequests:
    """The stage before routing. Requests for other paths pass, and those of other peers than the configured ones.

    Raises BadDescription, and what the server would raise for the described request line.
    """

    def __init__(self, networks: Iterable[str], source: SourceReader, identities: DecidedIdentities) -> None:
        """Raises ValueError when one of ``networks`` is neither address nor network."""
        allowed = tuple(plain_network(each) for each in networks)
        self._source = source
        self._targets = TargetReader()
        self._answers = {each: EdgeAnswer(identities, repeats_problem=each is _ORIGINAL) for each in (*_FORMS, None)}

        @lru_cache(_CACHED_PEERS)
        def is_allowed(peer: str) -> bool:
            address = parse_address(peer)
            return address is not None and any(address in network for network in allowed)

        self._is_allowed = is_allowed

    def __call__(self, request: RequestContext) -> None:
        raw_path: bytes = request.scope.get("raw_path") or b""
        if not raw_path.startswith(PATH):
            return
        path, peer = raw_path[len(PATH) :], request.scope.get("client")
        if path[:1] in (b"", _BELOW) and peer and self._is_allowed(peer[0]):
            self._replace(request, path)

    def _replace(self, request: RequestContext, path: bytes) -> None:
        outer, scope = request.fields, request.scope
        found = outer.described
        if not isinstance(found, _Described) or (found.head is None) is not bool(path):
            found = outer.described = self._read(request, in_path=bool(path))
        request.scope = _scope_of(scope, found, path)
        request.fields, request.client, request.answer = found.fields, found.client, found.answer

    def _read(self, request: RequestContext, *, in_path: bool) -> _Described:
        headers: list[Field] = request.scope["headers"]
        outer, sent = request.fields, request.fields.by_name
        forms = [each for each in _FORMS if each.method in sent or each.uri in sent]
        if len(forms) != (0 if in_path else 1) or (outer.repeated and _is_repeated(headers)):
            raise BadDescription(detail="no form, several forms, or a repeated field")
        form = forms[0] if forms else None
        answer = request.answer = self._answers[form]  # also of a description that cannot be read
        host = sent.get(form.host if form else b"host")
        client = self._source.named(b",".join(value for name, value in headers if name == _FORWARDED_FOR))
        if host is None or not is_valid_host(host) or client is None:
            raise BadDescription(detail="no host or no client address")
        own = [*(each for each in headers if each[0] not in _LEFT_OUT), (b"host", host)]
        scheme = _SCHEMES.get(sent.get(_FORWARDED_PROTO, b""), "http")
        return _Described(self._head(form, sent), own, RequestFields.of(own), client, scheme, answer)

    def _head(self, form: _Form | None, sent: dict[bytes, bytes]) -> RequestHead | None:
        if form is None:
            return None
        method, target = sent.get(form.method), sent.get(form.uri)
        if not method or not target:
            raise BadDescription(detail="no method or no target")
        return self._targets.read(method, target)


def described_requests(
    networks: Iterable[str], source: SourceReader, identities: DecidedIdentities
) -> tuple[DescribedRequests, ...]:
    """The stage, or none where no network may ask: then no request pays for it."""
    allowed = tuple(networks)
    return (DescribedRequests(allowed, source, identities),) if allowed else ()


def _scope_of(scope: Scope, described: _Described, path: bytes) -> Scope:
    """The scope of the request as the server would have made it. The given one belongs to the server."""
    made: dict[str, Any] = dict(scope)
    head = described.head
    if head is not None:
        path = head.path
        made["method"], made["query_string"] = head.method, head.query
    text = path.decode("ascii")
    made["path"], made["raw_path"] = unquote(text) if "%" in text else text, path
    made["headers"], made["scheme"] = described.headers, described.scheme
    return made


def _is_repeated(headers: list[Field]) -> bool:
    names = [name for name, _ in headers if name in _DESCRIBING]
    return len(names) != len(set(names))
