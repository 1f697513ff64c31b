"""The project that `tenantry dev` serves: its resources, its plans, and revisions that make its tables."""

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from billing.plans.catalogue import Catalogue, read_catalogue
from billing.plans.schemas import PlanSpec
from gateway.development.project_routes import ProjectRoutes, find_routes
from gateway.development.servers import SetUpFailed
from gateway.routing.saas import permissions_of
from migrations.autogenerate import NothingChanged, SeveralHeads, missing_operations, resources_migration
from migrations.metadata import TENANT_METADATA
from tenants.resources.errors import DeclarationError
from tenants.resources.registry import Registry, load_registry, make_revisions_folder

_PLANS = "plans.toml"
_FIRST_REVISION = "first tables"
_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy annotates no dialect's constructor
# For a project without a plans.toml.
_DEFAULT_PLANS = Catalogue.model_validate(
    {
        "plans": [
            {
                "code": "free",
                "name": "Free",
                "rank": 0,
                "windows": [{"name": "burst", "quota": 10, "window_seconds": 1}],
            },
            {
                "code": "pro",
                "name": "Pro",
                "rank": 1,
                "windows": [{"name": "burst", "quota": 100, "window_seconds": 1}],
            },
        ]
    }
)


@dataclass(frozen=True, slots=True)
class Project:
    """``notes`` are for the developer: what was created for them, and what they should do.

    ``compared`` is the fingerprint of models and revisions that agree; empty when they were not found to.
    """

    registry: Registry
    catalogue: Catalogue
    notes: list[str] = field(default_factory=list)
    compared: str = ""
    routes: ProjectRoutes | None = None  # without a routes.toml, routes stay as they are

    @property
    def plans(self) -> list[PlanSpec]:
        """The cheapest first."""
        return sorted(self.catalogue.plans, key=lambda plan: plan.rank)

    @property
    def paid_plans(self) -> list[str]:
        """Codes of the plans that can be bought, the cheapest first."""
        return [plan.code for plan in self.plans if plan.rank]

    def plan_at(self, position: int) -> str:
        """The code of the plan at that position by rank; of the highest where there are fewer."""
        plans = self.plans
        return plans[min(position, len(plans) - 1)].code


def load_project(module: str, owner_url: str, compared: str = "") -> Project:
    """Load the module's resources and plans. Write the first revision of its tables where there is none.

    Models and revisions that still have the fingerprint ``compared`` are not compared again, which takes 150 ms. The
    control schema must be migrated. Raises SetUpFailed when the project cannot be served.
    """
    try:
        make_revisions_folder(module)
        registry = load_registry(module)
        permissions_of(registry)  # checks the routers
        catalogue, notes = _catalogue(registry)
        fingerprint = _fingerprint(registry)
        changes = [] if fingerprint == compared else _revise(registry, owner_url)
    except (DeclarationError, SeveralHeads) as error:
        raise SetUpFailed(str(error)) from error
    compared = "" if changes else fingerprint
    return Project(registry, catalogue, [*notes, *changes], compared, find_routes(_folders(registry)))


def _catalogue(registry: Registry) -> tuple[Catalogue, list[str]]:
    """The plans in plans.toml, which is in the same folder as the migrations' folder."""
    for folder in _folders(registry):
        file = folder / _PLANS
        if file.is_file():
            return _read(file), []
    folder = registry.migrations[0].parent if registry.migrations else Path.cwd()
    codes = " and ".join(plan.code for plan in _DEFAULT_PLANS.plans)
    return _DEFAULT_PLANS, [f"There is no {_PLANS} in {folder}: plans {codes} are used. `tenantry new` writes one."]


def _folders(registry: Registry) -> list[Path]:
    """Where the project's files of plans and routes can be: each beside a folder of revisions."""
    return [migrations.parent for migrations in registry.migrations]


def _read(file: Path) -> Catalogue:
    try:
        return read_catalogue(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetUpFailed(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        faults = "".join(f"\n  - {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SetUpFailed(f"{file} is not a list of plans:{faults}") from error


def _revise(registry: Registry, owner_url: str) -> list[str]:
    location, *others = registry.migrations
    if not _has_revisions(location):
        return _write_first(owner_url, location, tuple(others)) if registry.collections else []
    missing = missing_operations(owner_url, location, others=tuple(others))
    if not missing:
        return []
    commands = "\n".join(f"    {line}" for line in missing.splitlines())
    advice = "Write the next revision with `resources migration -m ...`, then start `tenantry dev` again."
    return [f"The models have changed since the last revision in {location}:\n{commands}\n{advice}"]


def _fingerprint(registry: Registry) -> str:
    """Of the tables of the models and the contents of the revisions."""
    tables = TENANT_METADATA.sorted_tables
    indexes = sorted((index for table in tables for index in table.indexes), key=lambda index: str(index.name))
    statements: list[DDLElement] = [*map(CreateTable, tables), *map(CreateIndex, indexes)]
    digest = hashlib.sha256("\n".join(str(each.compile(dialect=_DIALECT)) for each in statements).encode())
    for file in sorted(each for folder in registry.migrations for each in folder.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _has_revisions(location: Path) -> bool:
    return any(file.name != "__init__.py" for file in location.glob("*.py"))


def _write_first(owner_url: str, location: Path, others: tuple[Path, ...]) -> list[str]:
    try:
        written = resources_migration(owner_url, _FIRST_REVISION, location, others=others)
    except NothingChanged:
        return []
    return [f"Wrote the first revision of the tables, from the models: {written}. Commit it."]
