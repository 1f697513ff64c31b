"""The origin of the changes that a request makes."""

from fastapi import Request

from gateway.request.context import RequestContext, context_of
from tenants.audit.origin import Origin
from tenants.principal import ANONYMOUS_ACTOR, Actor


def origin_of(request: Request, reason: str | None = None) -> Origin:
    """The caller, the request's id and its source address. The actor of a public route is anonymous."""
    context = context_of(request.scope)
    return Origin(_actor(context), context.request_id, context.client, reason)


def _actor(context: RequestContext) -> Actor:
    if context.principal is not None:
        return context.principal.actor
    return ANONYMOUS_ACTOR if context.operator is None else context.operator.actor
