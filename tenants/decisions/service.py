"""The dry run: what staged changes of roles would make of the requests of the last seven days. It writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import NamedTuple
from uuid import UUID

from tenants.api_keys.issuer import PermissionsOfRoles
from tenants.api_keys.recognised import RecognisedKey
from tenants.database.sessions import ControlSession, Database
from tenants.decisions import repository
from tenants.decisions.judgement import Change, Holders, Judgement, Program, RolePermissions, judge
from tenants.decisions.repository import Changed, MostUsed, Period, Totals, Use, array
from tenants.decisions.schemas import (
    EXAMPLES,
    DryRun,
    DryRunResponse,
    PrincipalResponse,
    RightsResponse,
    TotalsResponse,
    UseResponse,
)
from tenants.decisions.staging import Assignments, Person, staged
from tenants.directory import repository as directory
from tenants.directory.models import MemberKeysChoice
from tenants.fair_queue import FairSlots
from tenants.identifiers import ApiKeyId, TenantId, UserId
from tenants.principal import TenantRef
from tenants.roles.errors import RoleInUse
from tenants.roles.service import IsAssigned, Roles

_PAGE = 500  # rows: some 10 ms of the event loop
_SLOTS, _WAITING, _WAITING_OF_ONE = 1, 100, 4  # dry runs of a process
_LONGEST_WAIT = 10.0  # seconds
_FIRST = UUID(int=0)  # before every id

ReadPrograms = Callable[[ControlSession, TenantId], Awaitable[Sequence[Program]]]


class _Recorded(NamedTuple):
    """What is recorded of the requests that changes concern."""

    period: Period
    totals: Totals
    loses: MostUsed
    gains: MostUsed


class _Questions(NamedTuple):
    """What is asked of the recorded requests."""

    principals: str  # an array literal
    loses: Changed | None  # None when there is nothing to ask
    gains: Changed | None


class RoleDryRun:
    """Holds the database: no connection is held while it judges.

    One dry run of a process is judged at a time, in turns between tenants. ``authorizer`` makes an authorizer that
    no other code uses; ``mappings`` are the features that assign roles to people when they sign in, or to programs,
    which ``programs`` reads.
    """

    def __init__(
        self,
        database: Database,
        roles: Roles,
        authorizer: Callable[[], PermissionsOfRoles],
        mappings: Sequence[IsAssigned],
        programs: ReadPrograms,
    ) -> None:
        self._database = database
        self._roles = roles
        self._authorizer = authorizer
        self._mappings = mappings
        self._programs = programs
        self._slots = FairSlots(_SLOTS, most=_WAITING, most_of_one=_WAITING_OF_ONE, longest_wait=_LONGEST_WAIT)

    async def run(self, tenant: TenantRef, requested: DryRun) -> DryRunResponse:
        """Judge the changes as one.

        Raises ValidationFailed, RoleNameTaken, TooManyRoles, RoleInUse and LastOwner as the changes themselves do,
        RateLimited while too many dry runs of the tenant wait, and Unavailable.
        """
        async with self._slots.held(tenant.id):
            async with self._database.control(tenant) as session:
                before = await self._read(session, tenant)
                after = staged(before, requested)
                await self._check_unmapped(session, tenant.id, requested.remove)
            judged, questions = await asyncio.to_thread(self._judge, before.holders, after.holders)
            recorded = await self._recorded(tenant, questions, requested.limit)
            return await asyncio.to_thread(_answer, judged, recorded, requested.limit)

    async def _read(self, session: ControlSession, tenant: TenantRef) -> Assignments:
        roles = await self._roles.known(session, tenant.id)
        people: dict[UserId, Person] = {}
        keys: dict[ApiKeyId, RecognisedKey] = {}
        while rows := await repository.page_of_people(session, tenant.id, next(reversed(people), _FIRST), _PAGE):
            people |= {
                user: Person(tuple(hand), tuple(groups), enabled, since) for user, hand, groups, enabled, since in rows
            }
        while found := await repository.page_of_keys(session, tenant, next(reversed(keys), _FIRST), _PAGE):
            keys |= {key.id: key for key in found}
        row = await directory.find(session, tenant.id)
        hands_over = row is not None and row.member_keys == MemberKeysChoice.HAND_OVER
        programs = await self._programs(session, tenant.id)
        return Assignments(roles, people, keys, programs, row.member_keys_to if row and hands_over else None)

    async def _check_unmapped(self, session: ControlSession, tenant: TenantId, removed: Iterable[str]) -> None:
        for name in removed:
            for is_assigned in self._mappings:
                if await is_assigned(session, tenant, name):
                    raise RoleInUse

    async def _recorded(self, tenant: TenantRef, questions: _Questions, most: int) -> _Recorded:
        """In a transaction for each query, since each takes some 0.4 s for 10,000 principals with 30 permissions."""
        async with self._database.control(tenant) as session:
            period = await repository.period(session)
            totals = await repository.totals(session, tenant.id, period, questions.principals)
        found = []
        for changed in (questions.loses, questions.gains):
            if changed is None:
                found.append(MostUsed((), 0))
                continue
            async with self._database.control(tenant) as session:
                found.append(await repository.most_used(session, changed, period, most))
        return _Recorded(period, totals, *found)

    def _judge(self, before: Holders, after: Holders) -> tuple[Judgement, _Questions]:
        judged = judge(before, after, RolePermissions(self._authorizer()), datetime.now(UTC))
        tenant = before.roles.tenant
        principals = array(principal.hex for principal in judged.principals)
        loses = {principal: change.loses for principal, change in judged.changes.items() if change.loses}
        gains = {principal: change.gains for principal, change in judged.changes.items() if change.gains}
        return judged, _Questions(principals, _changed(tenant, loses), _changed(tenant, gains))


def _changed(tenant: TenantId, changes: Mapping[UUID, frozenset[str]]) -> Changed | None:
    if not changes:
        return None
    distinct = set(changes.values())
    permissions = sorted(frozenset[str]().union(*distinct))
    bits = {names: "".join("01"[name in names] for name in permissions) for names in distinct}
    return Changed(
        tenant,
        principals=array(principal.hex for principal in changes),
        bits=array(bits[names] for names in changes.values()),
        permissions=array(f'"{name}"' for name in permissions),
    )


def _answer(judged: Judgement, recorded: _Recorded, limit: int) -> DryRunResponse:
    period, totals, loses, gains = recorded
    return DryRunResponse(
        since=datetime.combine(period.since, time(), UTC),
        until=period.until,
        principals=len(judged.principals),
        totals=TotalsResponse(loses=loses.total, gains=gains.total, unchanged=totals.pairs - loses.total - gains.total),
        loses=[_use(use, judged) for use in loses.uses],
        gains=[_use(use, judged) for use in gains.uses],
        rights=[_rights(change, principals, judged) for change, principals in judged.groups[:limit]],
        has_more=max(loses.total, gains.total, len(judged.groups)) > limit,
        uncounted=totals.uncounted,
    )


def _use(use: Use, judged: Judgement) -> UseResponse:
    return UseResponse(
        principal=_principal(use.principal, judged),
        permission=use.permission,
        requests=use.requests,
        denied=use.denied,
        last_seen=use.last_seen_at,
    )


def _rights(change: Change, principals: Sequence[UUID], judged: Judgement) -> RightsResponse:
    return RightsResponse(
        loses=sorted(change.loses),
        gains=sorted(change.gains),
        principals=len(principals),
        examples=[_principal(each, judged) for each in principals[:EXAMPLES]],
    )


def _principal(principal: UUID, judged: Judgement) -> PrincipalResponse:
    return PrincipalResponse.of(principal, judged.principals[principal])
