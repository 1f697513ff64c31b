"""``POST /webhooks/stripe``: where Stripe sends its events."""

from typing import Annotated

from fastapi import Header, Request
from pydantic import BaseModel

from billing.stripe_events.event import EventUnreadable
from billing.stripe_events.signature import MOST_BYTES, SignatureInvalid
from gateway.authorization.guards import public
from gateway.routing.api_router import ManagementRouter
from gateway.routing.body import read_body
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.errors import NotFound


class Received(BaseModel):
    """Response of ``POST /webhooks/stripe``: the event is durable."""

    received: bool = True


# The endpoint reads it unparsed: the signature is of its bytes.
_BODY = {
    "requestBody": {
        "required": True,
        "description": "A Stripe Event object.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "examples": [{"id": "evt_1QxYz2Ab3Cd4Ef5G", "object": "event", "type": "invoice.paid"}],
                }
            }
        },
    }
}

router = ManagementRouter(tags=["Stripe events"])


@router.post("/webhooks/stripe", openapi_extra=_BODY)
@terms(
    public,
    body_limit=MOST_BYTES,
    idempotent=False,  # Stripe's event id makes a repeated delivery harmless
    errors=(SignatureInvalid, EventUnreadable),
    operations=True,
)
async def receive_stripe_event(
    request: Request,
    stripe_signature: Annotated[
        str | None, Header(alias="Stripe-Signature", description="Stripe's signature of the body.")
    ] = None,
) -> Received:
    """Verify and store a Stripe event; a job applies it. 404 while billing is off."""
    features = services_of(request).features
    if features.stripe is None:
        raise NotFound(detail="billing is off: no Stripe key is set")
    inbox = features.stripe.inbox
    signed = inbox.verify(await read_body(request), stripe_signature)
    async with features.database.control() as session:
        await inbox.store(session, signed)
    return Received()
