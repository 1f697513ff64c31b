"""What a configuration must be beyond the types of its fields. Every fault has a pointer into the configuration."""

from collections.abc import Callable, Collection, Iterator

from tenants.errors import FieldError
from tenants.roles.permissions import Permission
from tenants.routes.schemas import Configuration
from tenants.values.networks import Address

IsAdmitted = Callable[[Address], bool]


def faults_of(
    configuration: Configuration, permissions: Collection[Permission], is_admitted: IsAdmitted
) -> Iterator[FieldError]:
    """Every fault, upstreams first."""
    del permissions, is_admitted
    upstreams = {each.name for each in configuration.upstreams}
    for number, route in enumerate(configuration.routes):
        if route.upstream not in upstreams:
            yield FieldError(f"/routes/{number}/upstream", "not_allowed", "There is no upstream with this name.")
