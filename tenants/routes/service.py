"""Routes and upstreams: every change is checked as a whole, and makes a new version of the whole."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tenants.audit import operators
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work
from tenants.errors import FieldError, NotFound, ValidationFailed, check_version
from tenants.principal import ActorKind
from tenants.roles.permissions import Permission
from tenants.routes import repository
from tenants.routes.checks import IsAdmitted, faults_of, named_tenants
from tenants.routes.diff import Change, Kind, Spec, differences, fingerprint
from tenants.routes.errors import RouteExists, UpstreamExists, UpstreamInUse
from tenants.routes.models import RouteVersion
from tenants.routes.schemas import MOST_ROUTES, MOST_UPSTREAMS, Configuration, RouteSpec
from tenants.routes.stored import Reader, stored_configuration

NO_VERSION = 0


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A version, and who made it."""

    number: int
    changes: tuple[str, ...]  # against the version before
    restored: int | None  # the version that it is a copy of
    actor_kind: ActorKind
    actor_id: UUID | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Version:
    """A version with all upstreams and routes: the other members as in ``VersionSummary``."""

    number: int
    configuration: Configuration
    changes: tuple[str, ...] = ()
    restored: int | None = None
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
        self._reader = Reader()

    async def current(self, session: ControlSession) -> Version:
        """The version in force."""
        return await self._version(await repository.current(session))

    async def read(self, reads: Work) -> Version:
        """The version in force, in one statement without a session."""
        return await self._version(await repository.read_current(reads))

    async def versions(self, session: ControlSession) -> list[VersionSummary]:
        """The version in force and those that can be restored, the newest first."""
        return [_summary_of(each) for each in await repository.every(session)]

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
        await self.check(session, configuration)
        return await _store(session, before, configuration, origin)

    async def rollback(self, session: ControlSession, number: int, *, origin: Origin) -> Applied:
        """Put the configuration of a version in force again, as a new version. Raises NotFound, ValidationFailed."""
        before = await self._locked(session)
        row = await repository.find(session, number)
        if row is None:
            raise NotFound(detail="no such version of the routes")
        configuration = (await self._version(row)).configuration
        await self.check(session, configuration)
        return await _store(session, before, configuration, origin, restored=number)

    async def create(self, session: ControlSession, spec: Spec, *, origin: Origin) -> Applied:
        """Add one object. Raises RouteExists, UpstreamExists, ValidationFailed with pointers into the object."""
        before = await self._locked(session)
        if _find(before.configuration, kind_of(spec), spec.name) is not None:
            raise _EXISTS[kind_of(spec)]
        return await self._put(session, before, spec, origin)

    async def replace(
        self, session: ControlSession, spec: Spec, expected: tuple[int, ...] | None = None, *, origin: Origin
    ) -> Applied:
        """Replace the object of this name. Raises NotFound, and ValidationFailed with pointers into the object.

        Only if its ``fingerprint`` is one of ``expected``, otherwise raises PreconditionFailed; None allows any.
        """
        before = await self._locked(session)
        check_version(fingerprint(one_of(before, kind_of(spec), spec.name)), expected)
        return await self._put(session, before, spec, origin)

    async def delete(
        self, session: ControlSession, kind: Kind, name: str, expected: tuple[int, ...] | None = None, *, origin: Origin
    ) -> Applied:
        """Remove one object. Raises NotFound, UpstreamInUse, PreconditionFailed as ``replace`` does."""
        before = await self._locked(session)
        check_version(fingerprint(one_of(before, kind, name)), expected)
        if kind is Kind.UPSTREAM and any(each.upstream == name for each in before.configuration.routes):
            raise UpstreamInUse
        left = _others(before.configuration, kind, name)
        return await _store(session, before, _with(before.configuration, kind, left), origin)

    async def check(self, session: ControlSession, configuration: Configuration) -> None:
        """Raise ValidationFailed for what is inconsistent, with pointers into the configuration."""
        faults = await self._faults(session, configuration)
        if faults:
            raise ValidationFailed(faults)

    async def _faults(self, session: ControlSession, configuration: Configuration) -> tuple[FieldError, ...]:
        tenants = await repository.with_slugs(session, named_tenants(configuration))
        found = faults_of(configuration, self._permissions, self._is_admitted, tenants)
        return await asyncio.to_thread(tuple, found)

    async def _version(self, row: RouteVersion | None) -> Version:
        if row is None:
            return Version(NO_VERSION, Configuration())
        return _version_of(row, await asyncio.to_thread(self._reader.read, row.configuration))

    async def _locked(self, session: ControlSession) -> Version:
        """The version in force; no other change begins before this transaction ends."""
        await repository.lock(session)
        return await self._version(await repository.current(session))

    async def _put(self, session: ControlSession, before: Version, spec: Spec, origin: Origin) -> Applied:
        kind = kind_of(spec)
        await self._check_part(session, before.configuration, spec)
        specs: tuple[Spec, ...] = getattr(before.configuration, kind)
        known = any(each.name == spec.name for each in specs)
        after = tuple(spec if each.name == spec.name else each for each in specs) if known else (*specs, spec)
        return await _store(session, before, _with(before.configuration, kind, after), origin)

    async def _check_part(self, session: ControlSession, configuration: Configuration, spec: Spec) -> None:
        """Check with the object at the end, so that what two objects must not share is a fault of this one."""
        kind = kind_of(spec)
        others = _others(configuration, kind, spec.name)
        if len(others) >= _MOST[kind]:
            raise ValidationFailed.at("", "too_long", f"There are {_MOST[kind]} already, and there can be no more.")
        own = f"/{kind}/{len(others)}/"
        faults = await self._faults(session, _with(configuration, kind, (*others, spec)))
        found = [replace(each, pointer=each.pointer[len(own) - 1 :]) for each in faults if each.pointer.startswith(own)]
        if faults:
            raise ValidationFailed(tuple(found or map(_of_others, faults)))


_EXISTS = {Kind.ROUTE: RouteExists, Kind.UPSTREAM: UpstreamExists}
_MOST = {Kind.ROUTE: MOST_ROUTES, Kind.UPSTREAM: MOST_UPSTREAMS}


def kind_of(spec: Spec) -> Kind:
    """Which of the two kinds the object is."""
    return Kind.ROUTE if isinstance(spec, RouteSpec) else Kind.UPSTREAM


def one_of(version: Version, kind: Kind, name: str) -> Spec:
    """The object of this name. Raises NotFound."""
    found = _find(version.configuration, kind, name)
    if found is None:
        raise NotFound(detail=f"no such object in {kind}")
    return found


def _find(configuration: Configuration, kind: Kind, name: str) -> Spec | None:
    specs: tuple[Spec, ...] = getattr(configuration, kind)
    return next((each for each in specs if each.name == name), None)


def _others(configuration: Configuration, kind: Kind, name: str) -> tuple[Spec, ...]:
    specs: tuple[Spec, ...] = getattr(configuration, kind)
    return tuple(each for each in specs if each.name != name)


def _with(configuration: Configuration, kind: Kind, specs: tuple[Spec, ...]) -> Configuration:
    return configuration.model_copy(update={kind.value: specs})


def _of_others(fault: FieldError) -> FieldError:
    """A fault of the rest of the configuration, which a change of one object must not put in force again."""
    return replace(fault, pointer="", message=f"The rest of the configuration is invalid at {fault.pointer}.")


async def _store(
    session: ControlSession,
    before: Version,
    configuration: Configuration,
    origin: Origin,
    *,
    restored: int | None = None,
) -> Applied:
    """Add the version, unless it is equal to the one before."""
    changes = await asyncio.to_thread(differences, before.configuration, configuration)
    if not changes:
        return Applied(before, ())
    row = RouteVersion(
        number=before.number + 1,
        configuration=await asyncio.to_thread(stored_configuration, configuration),
        changes=[str(each) for each in changes],
        restored=restored,
        actor_kind=origin.actor.kind,
        actor_id=origin.actor.id,
    )
    await repository.add(session, row)
    for each in changes:
        await _record(session, origin, each)
    return Applied(_version_of(row, configuration), changes)


async def _record(session: ControlSession, origin: Origin, change: Change) -> None:
    action = f"{change.kind}.{change.action}"
    await operators.record(session, origin, action, change.name, before=change.before, after=change.after)


def _version_of(row: RouteVersion, configuration: Configuration) -> Version:
    return Version(row.number, configuration, *_origin_of(row))


def _summary_of(row: RouteVersion) -> VersionSummary:
    return VersionSummary(row.number, *_origin_of(row))


def _origin_of(row: RouteVersion) -> tuple[tuple[str, ...], int | None, ActorKind, UUID | None, datetime | None]:
    return tuple(row.changes), row.restored, ActorKind(row.actor_kind), row.actor_id, row.created_at
