"""``POST /webhooks/stripe``: where Stripe sends its events."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from billing.stripe_events.signature import MOST_BYTES
from gateway.authorization.guards import public
from gateway.problems.errors import MalformedRequest, PayloadTooLarge
from gateway.routing.strict_route import StrictRoute
from gateway.services import services_of
from tenants.errors import NotFound


class Received(BaseModel):
    """Answer of ``POST /webhooks/stripe``: the event is durable, now or since it first came."""

    received: bool = True


router = APIRouter(route_class=StrictRoute, tags=["stripe"])


@router.post("/webhooks/stripe", dependencies=[Depends(public)])
async def receive_event(
    request: Request, stripe_signature: Annotated[str | None, Header(alias="Stripe-Signature")] = None
) -> Received:
    """Verify, store, answer; a job applies it. Not found while billing is off."""
    features = services_of(request).features
    if features.stripe is None:
        raise NotFound(detail="billing is off: no Stripe key is set")
    inbox = features.stripe.inbox
    signed = inbox.verify(await _raw(request), stripe_signature)
    async with features.database.control() as session:
        await inbox.store(session, signed)
    return Received()


async def _raw(request: Request) -> bytes:
    """The body as it was signed. Raises PayloadTooLarge as soon as it is longer than any event of Stripe's."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise PayloadTooLarge
    except ClientDisconnect:
        raise MalformedRequest(detail="the client left before the end of its body") from None
    return bytes(body)
