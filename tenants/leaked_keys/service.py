"""Verdicts on reported tokens: which are keys of tenants or operators. Both kinds are ended (``ending.py``).

What was reported before changes nothing, so a report that was cut short can be sent again, and one that is sent again
by others is harmless.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.service import ApiKeys
from tenants.audit.origin import Origin
from tenants.database.sessions import Database
from tenants.errors import TenantryError
from tenants.identifiers import OPERATOR_KEY, TENANT, ApiKeyId, TenantId, show
from tenants.leaked_keys.ending import Ending
from tenants.leaked_keys.place import Place
from tenants.leaked_keys.schemas import ReportedMatch, Verdict
from tenants.mail.service import Mail
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.secrets.tokens import SecretKind, kind_of

_OF_TENANTS, _OF_OPERATORS = frozenset({SecretKind.LIVE, SecretKind.TEST}), frozenset({SecretKind.OPERATOR})
_AT_A_TIME = 25  # keys of a tenant that are ended together, and so listed in one message

_log = structlog.get_logger(__name__)


class LeakedKeys:
    """Opens its own transactions."""

    def __init__(
        self, database: Database, api_keys: ApiKeys, operator_keys: OperatorKeys, mail: Mail | None, product: str
    ) -> None:
        """``mail`` is None when mail is off: the audit logs alone have what was found."""
        self._database = database
        self._api_keys = api_keys
        self._operator_keys = operator_keys
        self._ending = Ending(database, api_keys.descendants, mail, product)

    async def end(self, matches: Sequence[ReportedMatch], origin: Origin) -> list[Verdict]:
        """End the keys that were found; the verdict on each match. A token with a wrong checksum causes no look-up.

        A failure of one tenant stops no other. Raises Unavailable at the end when there was one, and when PostgreSQL is
        unavailable: the same report then ends the rest.
        """
        first = {match.token: match for match in reversed(matches)}
        keys, operator_keys = await self._keys(first), await self._keys_of_operators(first)
        for found, operator_key in operator_keys.items():
            await self._end_operator_key(operator_key, first[found].place, origin)
        await self._end_keys([(key, first[found].place) for found, key in keys.items()], origin)
        known = keys | operator_keys
        return [Verdict.of(each, known=known.get(each.token) is not None) for each in matches]

    async def _keys(self, first: Mapping[str, ReportedMatch]) -> dict[str, RecognisedKey]:
        found = [each for each in first if kind_of(each) in _OF_TENANTS]
        return await self._api_keys.recognise(self._database, found) if found else {}

    async def _keys_of_operators(self, first: Mapping[str, ReportedMatch]) -> dict[str, RecognisedOperatorKey]:
        found = [each for each in first if kind_of(each) in _OF_OPERATORS]
        return await self._operator_keys.recognise(self._database, found) if found else {}

    async def _end_operator_key(self, key: RecognisedOperatorKey, place: Place, origin: Origin) -> None:
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC)):
            return
        async with self._database.control() as session:
            await self._operator_keys.revoke(session, key.id, origin=origin)
        _log.error("operator_key_leaked", key=show(OPERATOR_KEY, key.id), name=key.name, place=place.shown)

    async def _end_keys(self, found: Sequence[tuple[RecognisedKey, Place]], origin: Origin) -> None:
        by_tenant: defaultdict[TenantId, list[tuple[ApiKeyId, Place]]] = defaultdict(list)
        for key, place in found:
            by_tenant[key.tenant.id].append((key.id, place))
        failure: TenantryError | None = None
        for tenant, keys in by_tenant.items():
            try:
                for start in range(0, len(keys), _AT_A_TIME):
                    await self._ending.end(tenant, dict(keys[start : start + _AT_A_TIME]), origin)
            except TenantryError as error:
                failure = error
                _log.warning("leaked_keys_not_ended", tenant=show(TENANT, tenant), error=error.detail)
        if failure is not None:
            raise failure
