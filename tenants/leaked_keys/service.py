"""Ends keys that were found in public, and notifies the tenants' owners and admins.

Each tenant's keys are a few transactions of their own. What was reported before changes nothing, so a report that was
cut short can be sent again, and one that is sent again by others is harmless.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from tenants.api_keys import repository as key_rows
from tenants.api_keys.models import ApiKey
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.service import ApiKeys
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.directory.models import Tenant
from tenants.errors import TenantryError
from tenants.identifiers import OPERATOR_KEY, TENANT, ApiKeyId, TenantId, show
from tenants.leaked_keys import repository
from tenants.leaked_keys.place import Place
from tenants.leaked_keys.schemas import ReportedMatch, Verdict
from tenants.mail.service import Mail
from tenants.mail.templates import KeyLine, KeysLeaked, render
from tenants.members import repository as members
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.secrets.tokens import SecretKind, kind_of

GRACE = timedelta(hours=24)
_REVOKE = "revoke"  # what a tenant can choose; the other is grace
_OF_TENANTS, _OF_OPERATORS = frozenset({SecretKind.LIVE, SecretKind.TEST}), frozenset({SecretKind.OPERATOR})
_AT_A_TIME = 25  # keys of one transaction, and so of one message

_log = structlog.get_logger(__name__)
Found = tuple[ApiKeyId, Place]


class LeakedKeys:
    """Opens its own transactions."""

    def __init__(
        self, database: Database, api_keys: ApiKeys, operator_keys: OperatorKeys, mail: Mail | None, product: str
    ) -> None:
        """``mail`` is None when mail is off: the audit logs alone have what was found."""
        self._database = database
        self._api_keys = api_keys
        self._operator_keys = operator_keys
        self._mail = mail
        self._product = product

    async def end(self, matches: Sequence[ReportedMatch], origin: Origin) -> list[Verdict]:
        """End the keys that were found; the verdict on each match. A token with a wrong checksum causes no look-up.

        A failure of one tenant stops no other. Raises Unavailable at the end when there was one, and when PostgreSQL is
        unavailable: the same report then ends the rest.
        """
        first = {match.token: match for match in reversed(matches)}
        keys, operator_keys = await self._keys(first), await self._keys_of_operators(first)
        for token, operator_key in operator_keys.items():
            await self._end_operator_key(operator_key, first[token].place)
        found: defaultdict[TenantId, list[Found]] = defaultdict(list)
        for token, key in keys.items():
            if not _has_ended(key, datetime.now(UTC)):
                found[key.tenant.id].append((key.id, first[token].place))
        await self._end_all(found, origin)
        known = keys | operator_keys
        return [Verdict.of(each, known=known.get(each.token) is not None) for each in matches]

    async def _keys(self, first: Mapping[str, ReportedMatch]) -> dict[str, RecognisedKey]:
        found = [each for each in first if kind_of(each) in _OF_TENANTS]
        return await self._api_keys.recognise(self._database, found) if found else {}

    async def _keys_of_operators(self, first: Mapping[str, ReportedMatch]) -> dict[str, RecognisedOperatorKey]:
        found = [each for each in first if kind_of(each) in _OF_OPERATORS]
        return await self._operator_keys.recognise(self._database, found) if found else {}

    async def _end_operator_key(self, key: RecognisedOperatorKey, place: Place) -> None:
        if _has_ended(key, datetime.now(UTC)):
            return
        async with self._database.control() as session:
            await self._operator_keys.revoke(session, key.id)
        _log.error("operator_key_leaked", key=show(OPERATOR_KEY, key.id), name=key.name, place=place.shown)

    async def _end_all(self, found: Mapping[TenantId, list[Found]], origin: Origin) -> None:
        failure: TenantryError | None = None
        for tenant, keys in found.items():
            keys.sort(key=lambda each: each[0])
            try:
                for start in range(0, len(keys), _AT_A_TIME):
                    async with self._database.control() as session:
                        await self._end_some(session, tenant, keys[start : start + _AT_A_TIME], origin)
            except TenantryError as error:
                failure = error
                _log.warning("leaked_keys_not_ended", tenant=show(TENANT, tenant), error=error.detail)
        if failure is not None:
            raise failure

    async def _end_some(
        self, session: ControlSession, tenant: TenantId, found: Sequence[Found], origin: Origin
    ) -> None:
        await directory.serialise(session, tenant)  # two reports of the same keys lock them one after the other
        owner, now = await directory.find(session, tenant), datetime.now(UTC)
        if owner is None:
            return
        ended: list[tuple[ApiKey, Place]] = []
        for key_id, place in found:  # all before the first is ended, which can end others of them
            key = await key_rows.find(session, tenant, key_id, lock=True)
            if key is None or _has_ended(key, now):
                continue
            if await repository.add_once(session, key, place, owner.leaked_keys):
                ended.append((key, place))
        for key, place in ended:
            await _record(session, key, place, owner.leaked_keys, origin)
            await self._end(session, key, owner.leaked_keys, now, origin)
        await self._notify(session, owner, ended)

    async def _end(self, session: ControlSession, key: ApiKey, response: str, now: datetime, origin: Origin) -> None:
        if response == _REVOKE:
            await self._api_keys.revoke(session, key.tenant_id, key.id, origin=origin)
        else:
            await key_rows.end_at(session, key, now + GRACE)

    async def _notify(self, session: ControlSession, owner: Tenant, ended: Sequence[tuple[ApiKey, Place]]) -> None:
        if self._mail is None or not ended:
            return
        lines = tuple(KeyLine.of(key, place.shown) for key, place in ended)
        hours = 0 if owner.leaked_keys == _REVOKE else GRACE // timedelta(hours=1)
        content = render(KeysLeaked(self._product, owner.name, lines, hours))
        for email in (await members.reachable_admins(session, owner.id)).values():
            await self._mail.enqueue(session, email, content)


async def _record(session: ControlSession, key: ApiKey, place: Place, response: str, origin: Origin) -> None:
    found = {"found_in": place.source, "url": place.url, "response": response}
    after = {"name": key.name, "prefix": key.prefix, "last4": key.last4} | found
    await audit.record(session, key.tenant_id, origin, "api_keys.leaked", key.id, after=after)


def _has_ended(key: ApiKey | RecognisedKey | RecognisedOperatorKey, now: datetime) -> bool:
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)
