"""Routes and upstreams: every change is checked as a whole, and makes a new version of the whole."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tenants.audit import operators
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work
from tenants.errors import NotFound, ValidationFailed, check_version
from tenants.principal import ActorKind
from tenants.roles.permissions import Permission
from tenants.routes import repository
from tenants.routes.checks import IsAdmitted, faults_of
from tenants.routes.diff import Change, differences, stored_form
from tenants.routes.models import RouteVersion
from tenants.routes.schemas import Configuration

NO_VERSION = 0


@dataclass(frozen=True, slots=True)
class Version:
    """A version of all upstreams and routes, and who made it."""

    number: int
    configuration: Configuration
    changes: tuple[str, ...] = ()  # against the version before
    restored: int | None = None  # the version that it is a copy of
    actor_kind: ActorKind = ActorKind.SYSTEM
    actor_id: UUID | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The version that is in force after a change, and the changes; without any, it was so before."""

    version: Version
    changes: tuple[Change, ...]


class Routes:
    """Every call runs in the caller's transaction, but for ``read``."""

    def __init__(self, permissions: Collection[Permission], is_admitted: IsAdmitted) -> None:
        """``permissions`` are those of management, resources and the team's own endpoints.

        ``is_admitted`` says whether a tenant's own target may have an address (PX1).
        """
        self._permissions = tuple(permissions)
        self._is_admitted = is_admitted

    async def current(self, session: ControlSession) -> Version:
        """The version in force."""
        return _version_of(await repository.current(session))

    async def read(self, reads: Work) -> Version:
        """The version in force, in one statement without a session."""
        return _version_of(await repository.read_current(reads))

    async def versions(self, session: ControlSession) -> list[Version]:
        """The version in force and those that can be restored, the newest first."""
        return [_version_of(each) for each in await repository.every(session)]

    async def apply(
        self,
        session: ControlSession,
        configuration: Configuration,
        expected: tuple[int, ...] | None = None,
        *,
        origin: Origin,
    ) -> Applied:
        """Put the whole configuration in force. Raises ValidationFailed, and changes nothing then.

        Only at one of the versions ``expected``, otherwise raises PreconditionFailed; None allows any version.
        """
        before = await self._locked(session)
        check_version(before.number, expected)
        return await self._replace(session, before, configuration, origin)

    async def rollback(self, session: ControlSession, number: int, *, origin: Origin) -> Applied:
        """Put the configuration of a version in force again, as a new version. Raises NotFound, ValidationFailed."""
        before = await self._locked(session)
        row = await repository.find(session, number)
        if row is None:
            raise NotFound(detail="no such version of the routes")
        return await self._replace(session, before, _version_of(row).configuration, origin, restored=number)

    def check(self, configuration: Configuration) -> None:
        """Raise ValidationFailed for what is inconsistent, with pointers into the configuration."""
        faults = tuple(faults_of(configuration, self._permissions, self._is_admitted))
        if faults:
            raise ValidationFailed(faults)

    async def _locked(self, session: ControlSession) -> Version:
        await repository.lock(session)
        return await self.current(session)

    async def _replace(
        self,
        session: ControlSession,
        before: Version,
        configuration: Configuration,
        origin: Origin,
        *,
        restored: int | None = None,
    ) -> Applied:
        self.check(configuration)
        changes = differences(before.configuration, configuration)
        if not changes:
            return Applied(before, ())
        row = RouteVersion(
            number=before.number + 1,
            configuration=stored_form(configuration),
            changes=[str(each) for each in changes],
            restored=restored,
            actor_kind=origin.actor.kind,
            actor_id=origin.actor.id,
        )
        await repository.add(session, row)
        for each in changes:
            await _record(session, origin, each)
        return Applied(_version_of(row), changes)


async def _record(session: ControlSession, origin: Origin, change: Change) -> None:
    action = f"{change.kind}.{change.action}"
    await operators.record(session, origin, action, change.name, before=change.before, after=change.after)


def _version_of(row: RouteVersion | None) -> Version:
    if row is None:
        return Version(NO_VERSION, Configuration())
    return Version(
        row.number,
        Configuration.model_validate(row.configuration),
        tuple(row.changes),
        row.restored,
        ActorKind(row.actor_kind),
        row.actor_id,
        row.created_at,
    )
