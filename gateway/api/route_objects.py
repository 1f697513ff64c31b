"""What ``/operator/v1/routes`` and ``/operator/v1/upstreams`` share: single objects of the configuration, with ETags.

The ETag is of the object's content: a change of another object does not change it.
"""

from dataclasses import dataclass

from fastapi import Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.pages import complete_page
from gateway.request.entity_tags import Tagged
from gateway.request.origin import origin_of
from gateway.services import services_of
from tenants.errors import ValidationFailed
from tenants.routes.diff import Kind, Spec, fingerprint
from tenants.routes.service import Applied, one_of


@dataclass(frozen=True, slots=True)
class RouteObjects:
    """The endpoints of one kind. Changes return when they are committed; the runner waits for all workers."""

    kind: Kind
    path: str
    representation: bytes

    async def create(self, request: Request, spec: Spec) -> Response:
        """201, or 409 for a name that is in use."""
        services = services_of(request)
        async with services.database.control() as session:
            applied = await services.features.routes.create(session, spec, origin=origin_of(request))
        found, tag = self._changed(request, applied, spec.name)
        return created(found, f"{self.path}/{spec.name}", tag)

    async def page(self, request: Request) -> Response:
        """All of them."""
        features = services_of(request).features
        async with features.database.control() as session:
            version = await features.routes.current(session)
        specs: tuple[Spec, ...] = getattr(version.configuration, self.kind)
        return answered(complete_page(specs, _as_it_is))

    async def read(self, request: Request, name: str) -> Response:
        """200, 304 or 404."""
        features = services_of(request).features
        async with features.database.control() as session:
            found = one_of(await features.routes.current(session), self.kind, name)
        return read(request, found, self._tagged(name), fingerprint(found))

    async def replace(self, request: Request, name: str, spec: Spec) -> Response:
        """200, 404 or 412. Raises ValidationFailed for another name than that of the path."""
        if spec.name != name:
            raise ValidationFailed.at("/name", "not_allowed", "Must be the name in the path. It cannot be changed.")
        services = services_of(request)
        expected = services.tags.expected(self._tagged(name), request.scope)
        async with services.database.control() as session:
            applied = await services.features.routes.replace(session, spec, expected, origin=origin_of(request))
        return answered(*self._changed(request, applied, name))

    async def delete(self, request: Request, name: str) -> Response:
        """204, 404, 409 or 412."""
        services = services_of(request)
        expected = services.tags.expected(self._tagged(name), request.scope)
        async with services.database.control() as session:
            await services.features.routes.delete(session, self.kind, name, expected, origin=origin_of(request))
        return Response(status_code=204)

    def _changed(self, request: Request, applied: Applied, name: str) -> tuple[Spec, str]:
        """The object as it is now, and its ETag."""
        found = one_of(applied.version, self.kind, name)
        return found, services_of(request).tags.of(self._tagged(name), fingerprint(found))

    def _tagged(self, name: str) -> Tagged:
        return Tagged(self.representation, name.encode())


def _as_it_is(spec: Spec) -> Spec:
    return spec
