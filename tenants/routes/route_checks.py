"""What a route must be beyond the types of its fields, and what two routes must not share."""

from collections.abc import Collection, Iterator, Sequence
from itertools import product

from tenants.routes.faults import Fault, repeated
from tenants.routes.field_rules import faults_of_fields
from tenants.routes.schemas import LARGEST_BUFFERED, Access, Method, RouteSpec
from tenants.routes.templates import Template, read_template
from tenants.values.errors import BadValue
from tenants.values.origins import canonical_host

_MANY = ("hosts", "methods", "identity")
_REST = object()  # in a shape: any further segments
_RESERVED = frozenset({"authorize", "operator"})  # first segments of paths of Tenantry's own
# Without an upstream, a request is only decided: by /authorize, or by a verify call.
_OF_FORWARDING = (
    *("strip_prefix", "rewrite", "preserve_host", "forward_cookies", "request_fields", "response_fields", "retries"),
    *("buffer", "first_byte_seconds", "websocket", "cache", "server_timing"),
)


def faults_of_route(route: RouteSpec, upstreams: Collection[str]) -> Iterator[Fault]:
    """Of one route by itself; ``upstreams`` are the names that there are."""
    if route.upstream is None:
        yield from _faults_without_upstream(route)
    elif route.upstream not in upstreams:
        yield Fault(("upstream",), "not_allowed", "There is no upstream with this name.")
    for name in _MANY:
        yield from repeated(name, getattr(route, name))
    yield from _faults_of_hosts(route)
    yield from _faults_of_path(route)
    yield from _faults_of_access(route)
    yield from _faults_of_bodies(route)
    yield from faults_of_fields(route)


def overlaps(routes: Sequence[RouteSpec]) -> Iterator[Fault]:
    """Routes that answer the same host, path and method as one before them."""
    taken: set[tuple[object, ...]] = set()
    for number, route in enumerate(routes):
        keys = set(_answered(route))
        if keys & taken:
            message = "Another route answers the same path (its names in braces aside), host and method."
            yield Fault((number, "path"), "not_unique", message)
        taken |= keys


def _answered(route: RouteSpec) -> Iterator[tuple[object, ...]]:
    try:
        shape = read_template(route.path).shape
    except BadValue:
        return
    below = (*shape, _REST)
    if route.match == "exact":
        shapes: tuple[tuple[object, ...], ...] = (shape,)
    else:
        shapes = (shape, below) if shape else (below,)  # a prefix answers its own path, too
    yield from product(route.hosts or (None,), shapes, methods_of(route))


def methods_of(route: RouteSpec) -> tuple[Method, ...]:
    """The methods that a route answers: all, if it lists none."""
    return route.methods or tuple(Method)


def _faults_without_upstream(route: RouteSpec) -> Iterator[Fault]:
    for name in _OF_FORWARDING:
        if getattr(route, name) != RouteSpec.model_fields[name].default:
            yield Fault((name,), "not_allowed", "Without an upstream, requests are decided and never forwarded.")


def _faults_of_hosts(route: RouteSpec) -> Iterator[Fault]:
    for number, host in enumerate(route.hosts):
        if canonical_host(host) != host:
            message = (
                "Must be a host name or address in lower case, without port and final dot, such as api.example.com."
            )
            yield Fault(("hosts", number), "bad_format", message)


def _faults_of_path(route: RouteSpec) -> Iterator[Fault]:
    try:
        template = read_template(route.path)
    except BadValue as error:
        yield Fault(("path",), error.code, error.message)
        return
    if template.segments and template.segments[0] in _RESERVED:
        yield Fault(("path",), "not_allowed", "The path belongs to Tenantry itself.")
    if route.rewrite is not None:
        yield from _faults_of_rewrite(route, route.rewrite, template)


def _faults_of_rewrite(route: RouteSpec, rewrite: str, template: Template) -> Iterator[Fault]:
    if route.strip_prefix:
        yield Fault(("rewrite",), "not_allowed", "Either strip_prefix or rewrite: both say what becomes of the path.")
    try:
        unknown = set(read_template(rewrite).parameters) - set(template.parameters)
    except BadValue as error:
        yield Fault(("rewrite",), error.code, error.message)
    else:
        if unknown:
            yield Fault(("rewrite",), "not_allowed", "The path has no segment with one of the names in braces.")


def _faults_of_access(route: RouteSpec) -> Iterator[Fault]:
    """Beside permissions, whose faults are found over all routes (permissions.py)."""
    methods = set(methods_of(route))
    for method in route.permissions:
        if method not in methods:
            yield Fault(("permissions", method.value), "not_allowed", "The route does not answer this method.")
    if route.grade is not None and route.access is not Access.PERMISSION:
        yield Fault(("grade",), "not_allowed", "Only a permission has a grade.")
    if route.access is Access.PUBLIC and route.feature is not None:
        yield Fault(("feature",), "not_allowed", "A public route has no tenant whose plan could have the feature.")
    if route.access is Access.PUBLIC and route.cost != 1:
        yield Fault(("cost",), "not_allowed", "A public route has no tenant whose plan could be charged.")


def _faults_of_bodies(route: RouteSpec) -> Iterator[Fault]:
    if route.buffer and route.body_limit > LARGEST_BUFFERED:
        yield Fault(("body_limit",), "too_large", f"Must be at most {LARGEST_BUFFERED} with buffer.")
    answers_get = Method.GET in methods_of(route)
    for name, part in (("websocket", route.websocket), ("cache", route.cache)):
        if part is not None and not answers_get:
            yield Fault((name,), "not_allowed", "Only a route that answers GET can have this.")
    if route.websocket is not None and route.websocket.any_origin and route.websocket.origins:
        message = "Either origins or any_origin: any_origin includes all of them."
        yield Fault(("websocket", "origins"), "not_allowed", message)
