"""Every router of the management API, in the order of the documentation."""

from gateway.api import (
    api_keys,
    auth,
    docs,
    me,
    members,
    operator_events,
    operator_keys,
    operator_migrations,
    operator_plans,
    operator_tenants,
    problem_pages,
    roles,
    security_txt,
    sessions,
    start_page,
    stripe_webhook,
    tenant,
    usage,
)
from gateway.routing.api_router import ManagementRouter

ROUTERS: tuple[ManagementRouter, ...] = (
    tenant.router,
    api_keys.router,
    members.router,
    roles.router,
    usage.router,
    me.router,
    auth.router,
    sessions.router,
    operator_tenants.router,
    operator_plans.router,
    operator_events.router,
    operator_migrations.router,
    operator_keys.router,
    stripe_webhook.router,
    start_page.router,
    docs.router,
    problem_pages.router,
    security_txt.router,
)
