"""Loads and validates the module that a deployment configures, such as ``examples.crm.resources``.

The module has two attributes: ``RESOURCES``, a tuple of ``Resource``, and ``MIGRATIONS``, the folder of the Alembic
revisions that create their tables. Where the team has endpoints of its own, a third one: ``ROUTERS``. Where its code
needs more of a schema than the columns of the models, such as values that a revision fills in, ``OLDEST_SERVABLE``: the
oldest revision at which a tenant can be served.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tenants.resources.collection import Collection, collections_of
from tenants.resources.errors import DeclarationError
from tenants.resources.project import import_from_project
from tenants.resources.resource import Resource


@dataclass(frozen=True, slots=True)
class Registry:
    """What is served, and the folders of the revisions that it needs. Empty when nothing is declared.

    ``routers`` are checked by the gateway, which knows what a router is.
    """

    collections: tuple[Collection, ...] = ()
    migrations: tuple[Path, ...] = ()
    routers: tuple[object, ...] = ()
    oldest_servable: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the resources, in the order of their declaration."""
        return tuple(collection.name for collection in self.collections)

    @property
    def permissions(self) -> tuple[str, ...]:
        """Every permission that the resources bring."""
        return tuple(permission for collection in self.collections for permission in collection.permissions)

    def __getitem__(self, name: str) -> Collection:
        """The resource of that name. Raises KeyError."""
        return {collection.name: collection for collection in self.collections}[name]


def load_registry(module_name: str | None) -> Registry:
    """The resources of that module; empty without a module.

    Raises DeclarationError when there is no such module, it cannot be imported, or it declares what cannot be served.
    """
    return registry_of(import_from_project(module_name)) if module_name else Registry()


def make_revisions_folder(module_name: str) -> None:
    """Make the folder that the module names for its revisions, for the first of them. Raises DeclarationError."""
    migrations = getattr(import_from_project(module_name), "MIGRATIONS", None)
    if isinstance(migrations, Path) and migrations.parent.is_dir():
        migrations.mkdir(exist_ok=True)


def registry_of(module: ModuleType) -> Registry:
    """The resources of an imported module. Raises DeclarationError."""
    resources, migrations = getattr(module, "RESOURCES", None), getattr(module, "MIGRATIONS", None)
    routers, oldest = getattr(module, "ROUTERS", ()), getattr(module, "OLDEST_SERVABLE", None)
    faults = []
    if not isinstance(resources, tuple) or not all(isinstance(each, Resource) for each in resources):
        faults.append("RESOURCES must be a tuple of Resource, such as RESOURCES = (contacts,)")
    if not isinstance(routers, tuple):
        faults.append("ROUTERS must be a tuple of APIRouter, such as ROUTERS = (router,)")
    if not isinstance(migrations, Path):
        faults.append('MIGRATIONS must be the folder of its revisions: Path(__file__).parent / "migrations"')
    elif not migrations.is_dir():
        faults.append(f"the folder MIGRATIONS does not exist: {migrations}; `tenantry resources migration` creates it")
    if oldest is not None and not isinstance(oldest, str):
        faults.append('OLDEST_SERVABLE must be the name of a revision, such as "crm_0003"')
    if faults or resources is None or migrations is None:
        raise DeclarationError(f"Module {module.__name__}", *faults)
    return Registry(collections_of(resources), (migrations,), routers, oldest)
