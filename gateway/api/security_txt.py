"""``/.well-known/security.txt``: the contact for vulnerability reports (RFC 9116)."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from fastapi import Request, Response

from gateway.authorization.guards import public
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of

_VALID_DAYS = 180  # RFC 9116 section 2.5.5 recommends less than a year

router = ManagementRouter(include_in_schema=False)


@router.get("/.well-known/security.txt")
@terms(public, query=None)
async def read_security_txt(request: Request) -> Response:
    """Contact, expiry and canonical address."""
    settings = services_of(request).settings
    url = settings.public_url.rstrip("/")
    # RFC 2142 section 4 reserves this mailbox of every domain.
    contact = settings.security_contact or f"mailto:security@{urlsplit(url).hostname}"
    expires = (datetime.now(UTC) + timedelta(days=_VALID_DAYS)).strftime("%Y-%m-%dT00:00:00Z")
    text = (
        f"Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\nCanonical: {url}/.well-known/security.txt\n"
    )
    return Response(text, media_type="text/plain")
