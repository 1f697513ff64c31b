"""Every router of the management API, in the order in which the documentation shows them."""

from fastapi import APIRouter

from gateway.api import api_keys, auth, me, operator_events, operator_plans, operator_tenants, stripe_webhook

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    me.router,
    api_keys.router,
    operator_tenants.router,
    operator_plans.router,
    operator_events.router,
    stripe_webhook.router,
)
