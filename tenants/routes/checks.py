"""What a configuration must be beyond the types of its fields. Every fault has a pointer into the configuration."""

from collections.abc import Callable, Collection, Iterator, Sequence

from tenants.errors import FieldError
from tenants.roles.permissions import Permission
from tenants.routes.diff import Spec
from tenants.routes.faults import Fault, within
from tenants.routes.permissions import permission_faults
from tenants.routes.route_checks import faults_of_route, overlaps
from tenants.routes.schemas import Configuration
from tenants.routes.upstream_checks import faults_of_upstream
from tenants.values.networks import Address

IsAdmitted = Callable[[Address], bool]


def faults_of(
    configuration: Configuration,
    permissions: Collection[Permission],
    is_admitted: IsAdmitted,
    tenants: Collection[str],
) -> Iterator[FieldError]:
    """Every fault: of upstreams, of routes, of what routes are to each other.

    ``permissions`` are those that exist without routes. ``is_admitted`` says whether a target of a tenant may have an
    address. ``tenants`` are slugs, at least those of ``named_tenants`` that tenants have.
    """
    yield from within(("upstreams",), _names(configuration.upstreams))
    yield from within(("routes",), _names(configuration.routes))
    for number, upstream in enumerate(configuration.upstreams):
        yield from within(("upstreams", number), faults_of_upstream(upstream, is_admitted, tenants))
    names = {each.name for each in configuration.upstreams}
    for number, route in enumerate(configuration.routes):
        yield from within(("routes", number), faults_of_route(route, names))
    yield from within(("routes",), overlaps(configuration.routes))
    yield from permission_faults(configuration, permissions)


def named_tenants(configuration: Configuration) -> set[str]:
    """The slugs that upstreams have targets for."""
    return {slug for upstream in configuration.upstreams for slug in upstream.by_tenant}


def _names(specs: Sequence[Spec]) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, spec in enumerate(specs):
        if spec.name in seen:
            yield Fault((number, "name"), "not_unique", "The name is in use already.")
        seen.add(spec.name)
