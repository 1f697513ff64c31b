"""What an upstream must be beyond the types of its fields."""

from collections.abc import Callable, Collection, Iterator, Sequence

from tenants.routes.faults import Fault, Place
from tenants.routes.schemas import TargetSpec, TlsSpec, UpstreamSpec
from tenants.routes.targets import TargetUrl, read_target
from tenants.values.errors import BadValue
from tenants.values.networks import Address
from tenants.values.origins import canonical_host

_PRIVATE = "The address is not public. Targets of a tenant, and of an upstream that is not private, must be (PX1)."


def faults_of_upstream(
    upstream: UpstreamSpec, is_admitted: Callable[[Address], bool], tenants: Collection[str]
) -> Iterator[Fault]:
    """Its targets, their TLS settings, and the path of its health check."""
    public = None if upstream.private else is_admitted
    yield from _faults_of_targets(("targets",), upstream.targets, public)
    for slug, targets in upstream.by_tenant.items():
        if slug not in tenants:
            # The first tenant to take the slug would be led to targets that are not its own.
            yield Fault(("by_tenant", slug), "not_allowed", "There is no tenant with this slug.")
        yield from _faults_of_targets(("by_tenant", slug), targets, is_admitted)
    yield from _faults_of_tls(upstream.tls)
    if upstream.tls != TlsSpec() and not any(each.url.startswith("https:") for each in _all_targets(upstream)):
        yield Fault(("tls",), "not_allowed", "No target of the upstream is https.")
    if upstream.health is not None and "#" in upstream.health.path:
        yield Fault(("health", "path"), "bad_format", "Must have no fragment (#).")


def _all_targets(upstream: UpstreamSpec) -> Iterator[TargetSpec]:
    yield from upstream.targets
    for targets in upstream.by_tenant.values():
        yield from targets


def _faults_of_targets(
    place: Place, targets: Sequence[TargetSpec], is_admitted: Callable[[Address], bool] | None
) -> Iterator[Fault]:
    """``is_admitted`` is None where every address is."""
    seen: set[TargetUrl] = set()
    for number, spec in enumerate(targets):
        at = (*place, number, "url")
        try:
            target = read_target(spec.url)
        except BadValue as error:
            yield Fault(at, error.code, error.message)
            continue
        if target in seen:
            yield Fault(at, "not_unique", "The upstream has this target already.")
        seen.add(target)
        if is_admitted is not None and not _may_be_reached(target, is_admitted):
            yield Fault(at, "not_allowed", _PRIVATE)


def _may_be_reached(target: TargetUrl, is_admitted: Callable[[Address], bool]) -> bool:
    """A name is checked when its addresses are known; a socket is always on the gateway's own host."""
    if target.scheme == "unix":
        return False
    return target.address is None or is_admitted(target.address)


def _faults_of_tls(tls: TlsSpec) -> Iterator[Fault]:
    if (tls.certificate_file is None) != (tls.key_file is None):
        missing = "certificate_file" if tls.certificate_file is None else "key_file"
        yield Fault(("tls", missing), "missing", "A client certificate needs both certificate_file and key_file.")
    if tls.server_name is not None and canonical_host(tls.server_name) != tls.server_name:
        yield Fault(("tls", "server_name"), "bad_format", "Must be a host name in lower case, without a port.")
    if not tls.verify and tls.ca_file is not None:
        yield Fault(("tls", "ca_file"), "not_allowed", "Without verify, no authority is needed. Leave one of them out.")
