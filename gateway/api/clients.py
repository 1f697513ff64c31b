"""The client of a sign-in: where its request comes from, and what it says of itself."""

from fastapi import Request

from gateway.request.context import context_of
from gateway.request.origin import origin_of
from gateway.request.source import source_bucket, source_site
from tenants.credentials import CredentialMissing
from tenants.errors import Forbidden
from tenants.identifiers import UserId
from tenants.mfa.errors import FederatedSession
from tenants.mfa.service import Caller
from tenants.principal import PrincipalKind
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.second_factor import FEDERATED
from tenants.sign_in_limits.limits import Source


def source_of(request: Request) -> Source:
    """Where the request comes from, as limits of sign-ins count it."""
    client = context_of(request.scope).client
    return Source(source_bucket(client), source_site(client))


def client_of(request: Request) -> ClientInfo:
    """What the list of a person's sessions shows of this client, and the audit log of its request."""
    return ClientInfo.of(request.headers.get("user-agent", ""), origin_of(request))


def factor_caller(request: Request) -> Caller:
    """The person who is signed in, on a route that is for people, or open to them among others.

    Raises CredentialMissing without an access token, Forbidden for an API key, FederatedSession after single sign-on.
    """
    principal = context_of(request.scope).principal
    if principal is None:
        raise CredentialMissing
    if principal.kind is not PrincipalKind.USER:
        raise Forbidden("The access token of a person is required; an API key does not suffice.")
    if FEDERATED in principal.methods:
        raise FederatedSession
    return Caller(UserId(principal.id), principal.tenant, principal.sign_in_id, source_of(request), client_of(request))
