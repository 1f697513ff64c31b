"""The authorization code flow of OpenID Connect with PKCE, as an ``IdentityProvider``."""

import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tenants.oidc.discovery import Discovery, Metadata
from tenants.oidc.errors import AnswerRefused, IssuerUnusable
from tenants.oidc.tokens import read_header, refuse
from tenants.outbound.client import OutboundClient, OutboundFailed, Reply
from tenants.sso.id_tokens import verify
from tenants.sso.port import AuthorizationResponse, Challenge, Identity, ProviderClient
from tenants.values.errors import BadValue
from tenants.values.shown import check_shown

_SCOPES = ("openid", "email", "profile")
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_MOST_BYTES = 65_536
_LONGEST_SUBJECT, _LONGEST_EMAIL, _LONGEST_NAME = 255, 320, 200
_MOST_GROUPS, _MOST_METHODS = 1_000, 10
_OK, _SERVER_ERROR = 200, 500
_BASIC, _POST = "client_secret_basic", "client_secret_post"

_GROUPS = TypeAdapter(Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=_MOST_GROUPS)])


class _Tokens(BaseModel):
    """The members of a token response that are used."""

    id_token: Annotated[str, Field(repr=False)]
    access_token: Annotated[str | None, Field(repr=False)] = None


class OidcProvider:
    """Authlib builds the requests; they are sent through the checked client, since the issuer is a tenant's choice."""

    def __init__(self, http: OutboundClient, discovery: Discovery) -> None:
        self._http = http
        self._discovery = discovery

    async def check(self, issuer: str) -> None:
        """Return when the issuer has acceptable metadata now. Raises IssuerUnusable."""
        _endpoints(await self._discovery.metadata(issuer))

    async def authorization_url(self, client: ProviderClient, challenge: Challenge) -> str:
        """Where to send the browser. Raises IssuerUnusable."""
        metadata = await self._discovery.metadata(client.issuer)
        oauth = OAuth2Client(
            None,
            client_id=client.client_id,
            redirect_uri=client.redirect_uri,
            scope=_scope(client, metadata),
            code_challenge_method="S256",
        )
        url, _ = oauth.create_authorization_url(
            _endpoints(metadata).authorization,
            state=challenge.state,
            nonce=challenge.nonce,
            code_verifier=challenge.code_verifier,
        )
        return str(url)

    async def identity(self, client: ProviderClient, challenge: Challenge, response: AuthorizationResponse) -> Identity:
        """Who has signed in. Raises AnswerRefused and IssuerUnusable."""
        metadata = await self._discovery.metadata(client.issuer)
        _check_issuer(metadata, response)
        tokens = await self._tokens(client, metadata, challenge, response)
        header = read_header(tokens.id_token)
        key = await self._discovery.key(client.issuer, header)
        claims = verify(tokens.id_token, key, issuer=client.issuer, client_id=client.client_id, nonce=challenge.nonce)
        wanted = {"email", "email_verified"} | ({client.groups_claim} if client.groups_claim else set())
        if wanted - claims.keys() and metadata.userinfo_endpoint and tokens.access_token:
            # Core section 5.4: with the code flow a provider may leave these claims out of the ID token.
            claims = await self._userinfo(client, metadata.userinfo_endpoint, tokens.access_token, claims) | claims
        return _identity(claims, client.groups_claim)

    async def _tokens(
        self, client: ProviderClient, metadata: Metadata, challenge: Challenge, response: AuthorizationResponse
    ) -> _Tokens:
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=client.redirect_uri,
            code=response.code,
            code_verifier=challenge.code_verifier,
        )
        authentication = _client_auth(client, metadata)
        url, headers, body = authentication.prepare("POST", _endpoints(metadata).token, dict(_FORM), body)
        async with self._discovery.slot(client.issuer):
            reply = await self._sent(self._http.post(url, body.encode(), most=_MOST_BYTES, headers=headers))
        if reply.status != _OK:
            refuse(f"token endpoint answered {reply.status}")
        try:
            return _Tokens.model_validate_json(reply.body)
        except ValidationError as error:
            raise AnswerRefused("token response without an ID token") from error

    async def _userinfo(
        self, client: ProviderClient, url: str, access_token: str, claims: Mapping[str, Any]
    ) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {access_token}"}
        async with self._discovery.slot(client.issuer):
            reply = await self._sent(self._http.get(url, most=_MOST_BYTES, headers=headers))
        try:
            found = json.loads(reply.body) if reply.status == _OK else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("sub") != claims["sub"]:  # section 5.3.2: it must be compared
            refuse("UserInfo response of another subject, or none")
        return found

    async def _sent(self, request: Awaitable[Reply]) -> Reply:
        try:
            reply = await request
        except OutboundFailed as error:
            raise IssuerUnusable(str(error)) from error
        if reply.status >= _SERVER_ERROR:
            raise IssuerUnusable(f"status {reply.status}")
        return reply


@dataclass(frozen=True, slots=True)
class _Endpoints:
    """What an issuer needs that signs people in (OpenID Connect Discovery 1.0 section 3)."""

    authorization: str
    token: str


def _endpoints(metadata: Metadata) -> _Endpoints:
    if metadata.authorization_endpoint is None or metadata.token_endpoint is None:
        raise IssuerUnusable("metadata without the endpoints of sign-in")
    return _Endpoints(metadata.authorization_endpoint, metadata.token_endpoint)


def _client_auth(client: ProviderClient, metadata: Metadata) -> ClientAuth:
    if _BASIC not in metadata.token_endpoint_auth_methods_supported:
        return ClientAuth(client.client_id, client.client_secret, _POST)
    # RFC 6749 section 2.3.1: both are encoded before they become a user name and a password.
    return ClientAuth(quote(client.client_id, safe=""), quote(client.client_secret, safe=""), _BASIC)


def _scope(client: ProviderClient, metadata: Metadata) -> str:
    groups = client.groups_claim
    is_scope = groups is not None and groups in metadata.scopes_supported
    return " ".join((*_SCOPES, groups) if groups and is_scope else _SCOPES)


def _check_issuer(metadata: Metadata, response: AuthorizationResponse) -> None:
    """RFC 9207: a response of another provider must not be taken for one of this provider (mix-up)."""
    if response.issuer is None:
        if metadata.authorization_response_iss_parameter_supported:
            refuse("response without the issuer that the provider always names")
    elif response.issuer != metadata.issuer:
        refuse("response of another issuer")


def _identity(claims: Mapping[str, Any], groups_claim: str | None) -> Identity:
    subject, email = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        refuse("subject is not a text of 1 to 255 characters")
    if claims.get("email_verified") is not True:
        refuse("the provider has not verified the e-mail address")
    if not isinstance(email, str) or not _is_address(email):
        refuse("no e-mail address")
    return Identity(
        subject=subject,
        email=email,
        name=_name(claims.get("name")),
        groups=frozenset(_texts(claims.get(groups_claim))) if groups_claim else frozenset(),
        methods=tuple(_texts(claims.get("amr"))[:_MOST_METHODS]),
    )


def _is_address(email: str) -> bool:
    name, at, domain = email.rpartition("@")
    printable = email.isprintable() and " " not in email
    return bool(name and at and domain) and "@" not in name and printable and len(email) <= _LONGEST_EMAIL


def _name(value: object) -> str:
    """What a member is called; nothing is worth refusing a sign-in for."""
    if not isinstance(value, str):
        return ""
    try:
        return check_shown(value[:_LONGEST_NAME].strip())
    except BadValue:
        return ""


def _texts(value: object) -> list[str]:
    """The texts of a claim that is a list of texts, or one text; anything else is none."""
    try:
        return _GROUPS.validate_python([value] if isinstance(value, str) else value, strict=True)
    except ValidationError:
        return []
