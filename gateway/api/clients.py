"""The client of a sign-in: where its request comes from, and what it says of itself."""

from fastapi import Request

from gateway.request.context import context_of
from gateway.request.origin import origin_of
from gateway.request.source import source_bucket, source_site
from tenants.sign_in.client import ClientInfo
from tenants.sign_in.limits import Source


def source_of(request: Request) -> Source:
    """Where the request comes from, as limits of sign-ins count it."""
    client = context_of(request.scope).client
    return Source(source_bucket(client), source_site(client))


def client_of(request: Request) -> ClientInfo:
    """What the list of a person's sessions shows of this client, and the audit log of its request."""
    return ClientInfo.of(request.headers.get("user-agent", ""), origin_of(request))
