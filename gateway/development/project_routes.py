"""The routes.toml of the project that `tenantry dev` serves."""

from collections.abc import Iterable
from pathlib import Path

from gateway.development.servers import SetUpFailed
from gateway.features import Features
from tenants.audit.origin import SYSTEM
from tenants.errors import ValidationFailed
from tenants.routes.schemas import Configuration, RouteSpec, TargetSpec, UpstreamSpec
from tenants.routes.toml import FileInvalid, RoutesFile

DEMO_UPSTREAM = "demo"  # name of the upstream whose target is the demo service
_ROUTES = "routes.toml"


class ProjectRoutes:
    """What the file declares. Raises SetUpFailed when it is invalid."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._source = RoutesFile(file.read_text(encoding="utf-8"))
            self._configuration = self._source.configuration()
        except (OSError, UnicodeDecodeError) as error:
            raise SetUpFailed(f"{file} cannot be read: {error}") from error
        except FileInvalid as error:
            raise self._refused(error) from error

    @property
    def demo_route(self) -> RouteSpec | None:
        """The first route to the demo service that can be shown, if there is one."""
        found = (each for each in self._configuration.routes if each.upstream == DEMO_UPSTREAM)
        return next((each for each in found if not each.hosts and "{" not in each.path), None)

    async def apply(self, features: Features, upstream_url: str) -> None:
        """Put the routes in force, those of the demo service to its real address. Raises SetUpFailed."""
        try:
            async with features.database.control() as session:
                await features.routes.apply(session, self._with_address(upstream_url), origin=SYSTEM)
        except ValidationFailed as error:
            raise self._refused(self._source.refused(error)) from error

    def _with_address(self, url: str) -> Configuration:
        target = (TargetSpec(url=url),)
        upstreams = tuple(_at(each, target) for each in self._configuration.upstreams)
        return self._configuration.model_copy(update={"upstreams": upstreams})

    def _refused(self, error: FileInvalid) -> SetUpFailed:
        faults = "".join(f"\n  - {each}" for each in error.faults)
        return SetUpFailed(f"{self._file} is invalid:{faults}")


def _at(upstream: UpstreamSpec, targets: tuple[TargetSpec, ...]) -> UpstreamSpec:
    return upstream.model_copy(update={"targets": targets}) if upstream.name == DEMO_UPSTREAM else upstream


def find_routes(folders: Iterable[Path]) -> ProjectRoutes | None:
    """The routes in the first of these folders that has a routes.toml."""
    for folder in folders:
        if (folder / _ROUTES).is_file():
            return ProjectRoutes(folder / _ROUTES)
    return None
