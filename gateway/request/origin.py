"""The origin of the changes that a request makes."""

from fastapi import Request

from gateway.request.context import RequestContext, context_of
from tenants.audit.origin import Origin
from tenants.principal import ANONYMOUS_ACTOR, Actor


def origin_of(request: Request, reason: str | None = None) -> Origin:
    """As ``origin_of_context``. ``reason`` is one that the request's body gives."""
    return origin_of_context(context_of(request.scope), reason)


def origin_of_context(context: RequestContext, reason: str | None = None) -> Origin:
    """The caller, the request's id, its source address and its reason. The actor of a public route is anonymous."""
    return Origin(_actor(context), context.request_id, context.client, reason or context.reason)


def _actor(context: RequestContext) -> Actor:
    if context.principal is not None:
        return context.principal.actor
    return ANONYMOUS_ACTOR if context.operator is None else context.operator.actor
