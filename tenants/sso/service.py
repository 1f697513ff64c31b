"""Sign-in at the tenant's provider: start, callback, and the exchange of the code for tokens (docs/decisions/0035).

Three secrets are stored as hashes, each used once: ``state`` goes to the provider and back, ``verifier`` stays with the
client that started, ``code`` comes to it at the end. A client without the verifier cannot end the flow, so a link to
an attacker's sign-in signs no victim in (login CSRF).
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

import structlog

from tenants.audit.origin import Origin
from tenants.audit.refusals import Refusals
from tenants.database.sessions import ControlSession, Database
from tenants.directory.models import Tenant
from tenants.errors import TenantryError, ValidationFailed
from tenants.identifiers import new_id
from tenants.oidc.errors import AnswerRefused, IssuerUnusable
from tenants.outbound.urls import origin_of_url, read_url
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, generate, kind_of
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.schemas import Grant
from tenants.sign_in.second_factor import FEDERATED
from tenants.sign_in.service import SignIn, SignInRefused
from tenants.sso import repository
from tenants.sso.admission import Admission
from tenants.sso.connections import Connections
from tenants.sso.errors import NoSingleSignOn, ProviderUnavailable, SsoRefused
from tenants.sso.models import SsoFlow
from tenants.sso.port import AuthorizationResponse, Challenge, Identity, IdentityProvider, ProviderClient
from tenants.sso.repository import Connected
from tenants.sso.schemas import SsoCode, SsoStarted
from tenants.values.errors import BadValue

FLOW_LIFE = timedelta(minutes=10)
CODE_LIFE = timedelta(seconds=60)
_PURPOSE = b"tenantry sso challenge 1"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Callback:
    """The parameters of the provider's redirect that are read; the provider may send others."""

    state: str | None = None
    code: str | None = None
    issuer: str | None = None
    error: str | None = None


class SsoSignIn:
    """Opens its own transactions: none is held while the provider is asked."""

    def __init__(
        self,
        database: Database,
        *,
        hasher: SecretHasher,
        provider: IdentityProvider,
        connections: Connections,
        admission: Admission,
        sign_in: SignIn,
        refusals: Refusals,
        secret: bytes,
        public_url: str,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        """``secret`` is the key from which nonces and PKCE verifiers are derived.

        Browsers return to pages of the public URL's origin, of ``allowed_origins``, and of the tenant's own.
        """
        self._database = database
        self._hasher = hasher
        self._provider = provider
        self._connections = connections
        self._admission = admission
        self._sign_in = sign_in
        self._refusals = refusals
        self._key = hmac.digest(secret, _PURPOSE, sha256)
        self._origins = frozenset({origin_of_url(read_url(public_url)), *allowed_origins})

    async def start(self, slug: str, return_to: str | None) -> SsoStarted:
        """Begin a flow. Raises NoSingleSignOn, ValidationFailed and ProviderUnavailable."""
        async with self._database.control() as session:
            connected = _connected(await repository.find_connected(session, slug))
        self._check_return(return_to, connected.tenant)
        state, verifier = generate(SecretKind.SSO), generate(SecretKind.SSO)
        client = self._client(connected)
        try:
            url = await self._provider.authorization_url(client, self._challenge(state))
        except IssuerUnusable as error:
            raise ProviderUnavailable(detail=str(error)) from error
        flow = SsoFlow(
            id=new_id(),
            connection_id=connected.connection.id,
            state_digest=self._hasher.digest(state).value,
            verifier_digest=self._hasher.digest(verifier).value,
            return_to=return_to,
            expires_at=datetime.now(UTC) + FLOW_LIFE,
        )
        async with self._database.control() as session:
            held = _connected(await repository.find_connected_of(session, flow.connection_id))
            if held.connection.issuer != client.issuer:  # replaced meanwhile
                raise NoSingleSignOn
            session.add(flow)
        return SsoStarted(url=url, verifier=verifier, expires_in=int(FLOW_LIFE.total_seconds()))

    async def end(self, callback: Callback, origin: Origin) -> SsoCode | str:
        """The code of the flow, or the URL for the browser with a code or an error, if the client has named one.

        Raises SsoRefused for an unknown, used or expired state; without such a URL also for every other reason, and
        TenantSuspended and ProviderUnavailable.
        """
        flow = await self._taken(callback.state)
        try:
            code = await self._code(flow, callback, origin)
        except TenantryError as error:
            async with self._database.control() as session:
                await repository.remove_flow(session, flow.id)
            if flow.return_to is None:
                raise
            _log.info("sso_refused", code=error.code, reason=error.detail)
            return _with_query(flow.return_to, error=error.code)
        return code if flow.return_to is None else _with_query(flow.return_to, code=code.code)

    async def redeem(self, code: str, verifier: str, client: ClientInfo | None) -> Grant:
        """Exchange the code, once, for the session. Raises SsoRefused and TenantSuspended."""
        if kind_of(code) is not SecretKind.SSO or kind_of(verifier) is not SecretKind.SSO:
            raise SsoRefused(detail="not a code or not a verifier")
        async with self._database.control() as session:
            outcome = await self._redeemed(session, code, verifier, client)
        if not isinstance(outcome, Grant):
            raise outcome  # after the transaction: the flow is gone
        return outcome

    async def _redeemed(
        self, session: ControlSession, code: str, verifier: str, client: ClientInfo | None
    ) -> Grant | SsoRefused:
        flow = await repository.redeem_flow(session, self._digests(code), datetime.now(UTC))
        if flow is None or flow.user_id is None:
            return SsoRefused(detail="unknown, used or expired code")
        if not self._hasher.matches(verifier, flow.verifier_digest):
            return SsoRefused(detail="the verifier is of another flow")
        connected = await repository.find_connected_of(session, flow.connection_id)
        if connected is None:
            return SsoRefused(detail="the connection was removed")
        try:
            return await self._sign_in.open_session(
                session, flow.user_id, connected.tenant.id, methods=[FEDERATED], client=client
            )
        except SignInRefused:
            return SsoRefused(detail="disabled or removed meanwhile")

    async def _taken(self, state: str | None) -> SsoFlow:
        if state is None or kind_of(state) is not SecretKind.SSO:
            raise SsoRefused(detail="no state of ours")
        async with self._database.control() as session:
            flow = await repository.take_flow(session, self._digests(state), datetime.now(UTC))
        if flow is None:
            raise SsoRefused(detail="unknown, used or expired state")
        return flow

    async def _code(self, flow: SsoFlow, callback: Callback, origin: Origin) -> SsoCode:
        async with self._database.control() as session:
            connected = _connected(await repository.find_connected_of(session, flow.connection_id))
        try:
            return await self._admitted(flow, connected, callback, origin)
        except SsoRefused:
            self._refusals.note(connected.tenant.id, "sso_sign_in.refused", flow.connection_id, origin)
            raise

    async def _admitted(self, flow: SsoFlow, connected: Connected, callback: Callback, origin: Origin) -> SsoCode:
        if callback.error is not None or callback.code is None or callback.state is None:
            raise SsoRefused(detail="the provider has returned an error")
        response = AuthorizationResponse(callback.code, callback.issuer)
        identity = await self._identity(connected, self._challenge(callback.state), response)
        code = generate(SecretKind.SSO)
        async with self._database.control() as session:
            user = await self._admission.admit(session, connected.tenant.id, flow.connection_id, identity, origin)
            expires_at, digest = datetime.now(UTC) + CODE_LIFE, self._hasher.digest(code).value
            # Deleted meanwhile: the provider is no longer the tenant's, and everything above is rolled back.
            if not await repository.set_code(session, flow.id, user, digest, expires_at):
                raise SsoRefused(detail="the connection was replaced")
        return SsoCode(code=code, expires_in=int(CODE_LIFE.total_seconds()))

    async def _identity(self, connected: Connected, challenge: Challenge, response: AuthorizationResponse) -> Identity:
        try:
            return await self._provider.identity(self._client(connected), challenge, response)
        except AnswerRefused as error:
            raise SsoRefused(detail=str(error)) from error
        except IssuerUnusable as error:
            raise ProviderUnavailable(detail=str(error)) from error

    def _client(self, connected: Connected) -> ProviderClient:
        client = self._connections.client_of(connected.connection)
        if client is None:
            raise ProviderUnavailable(detail="the client's secret cannot be opened")
        return client

    def _challenge(self, state: str) -> Challenge:
        """Derived, so that nothing of it is stored: a dump of the database does not hold the state."""
        return Challenge(state=state, nonce=self._derived("nonce", state), code_verifier=self._derived("pkce", state))

    def _derived(self, purpose: str, state: str) -> str:
        digest = hmac.digest(self._key, f"{purpose} {state}".encode(), sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _digests(self, secret: str) -> list[bytes]:
        return [each.value for each in self._hasher.candidates(secret)]

    def _check_return(self, return_to: str | None, tenant: Tenant) -> None:
        """An open redirect would carry codes, and trust, to anybody's page."""
        if return_to is None:
            return
        try:
            origin = origin_of_url(read_url(return_to))
        except BadValue as error:
            raise ValidationFailed.at("/return_to", error.code, error.message) from error
        if origin not in self._origins | set(tenant.allowed_origins):
            message = "Its origin is not one that the deployment or the tenant allows."
            raise ValidationFailed.at("/return_to", "origin_not_allowed", message)


def _connected(found: Connected | None) -> Connected:
    if found is None:
        raise NoSingleSignOn
    return found


def _with_query(url: str, **added: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(added)}"
