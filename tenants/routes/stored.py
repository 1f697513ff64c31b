"""The stored form of a configuration, and back. For thread use: 2,000 routes take some 200 ms (LD1).

Objects are converted one by one, so that the event loop gets the interpreter lock between them.
"""

from collections.abc import Mapping
from typing import Any

from tenants.routes.diff import Kind, Spec, stored_form
from tenants.routes.schemas import Configuration, RouteSpec, UpstreamSpec

_Known = Mapping[str, tuple[Mapping[str, Any], Spec]]  # stored forms and what they mean, by kind and name


def stored_configuration(configuration: Configuration) -> dict[str, Any]:
    """Without members that have their default."""
    lists = {kind.value: [stored_form(each) for each in getattr(configuration, kind)] for kind in Kind}
    return {name: found for name, found in lists.items() if found}


class Reader:
    """Objects that are stored as in the configuration that was read before are the same objects again."""

    def __init__(self) -> None:
        self._known: _Known = {}

    def read(self, stored: Mapping[str, Any]) -> Configuration:
        """Raises pydantic's ValidationError for what a later release has stored and this one does not know."""
        known: dict[str, tuple[Mapping[str, Any], Spec]] = {}
        upstreams = [self._object(Kind.UPSTREAM, each, known) for each in stored.get(Kind.UPSTREAM, ())]
        routes = [self._object(Kind.ROUTE, each, known) for each in stored.get(Kind.ROUTE, ())]
        self._known = known
        others = {name: value for name, value in stored.items() if name not in set(Kind)}
        whole = Configuration.model_validate(others)
        return whole.model_copy(update={"upstreams": tuple(upstreams), "routes": tuple(routes)})

    def _object(self, kind: Kind, stored: Mapping[str, Any], known: dict[str, tuple[Mapping[str, Any], Spec]]) -> Spec:
        key = f"{kind} {stored.get('name')}"
        before = self._known.get(key)
        spec = before[1] if before is not None and before[0] == stored else _SPECS[kind].model_validate(stored)
        known[key] = (stored, spec)
        return spec


_SPECS: Mapping[Kind, type[UpstreamSpec | RouteSpec]] = {Kind.UPSTREAM: UpstreamSpec, Kind.ROUTE: RouteSpec}
