"""The two documents: one for integrators and tenants, one for the operators of the deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.request.route import Audience, Terms

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, eq=False)
class Edition:
    """What the operations of one document have in common. Compared by identity.

    ``tags`` maps each tag to its description, in the order of the document. Tags of the SaaS come before them.
    """

    title: str
    introduction: Path  # Markdown; $base is the public URL
    tags: Mapping[str, str]
    schemes: Mapping[str, Mapping[str, Any]]  # Security Scheme Objects

    @property
    def security(self) -> list[dict[str, list[str]]]:
        """Any one of the schemes."""
        return [{name: []} for name in self.schemes]


TENANTS = Edition(
    title="Tenantry API",
    introduction=_FOLDER / "tenants.md.template",
    tags={
        "tenant": "The tenant itself: its name, its plan and its status.",
        "api keys": "Keys of the tenant's programs: their role, scopes, networks, rate limits and expiry.",
        "members": "The people in the tenant and their roles.",
        "invitations": "Invitations of people to the tenant; accepting them needs no credential but the link's.",
        "roles": "The tenant's own roles, the built-in ones, and the permissions that roles can hold.",
        "single sign-on": "The identity provider of the tenant, and the mail domains of its people.",
        "audit log": "Who changed what, when and from where, in a chain that shows every later edit.",
        "scim": "SCIM 2.0 for the tenant's identity provider, which keeps members and groups; the roles of groups.",
        "usage": "What the tenant has used.",
        "me": "The caller itself.",
        "decisions": "Why a request is allowed or refused.",
        "workload rules": "Programs that hold no key: outside issuers whose tokens the tenant trusts, and for what.",
        "tokens": "Short-lived access tokens for programs, by OAuth 2.0.",
        "sign-in": "People: sign-up, access tokens, their own sessions and passwords; public keys of tokens.",
        "second factors": "A person's authenticator app, passkeys and recovery codes.",
    },
    schemes={
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key (`tn_live_…`), or an access token: of a signed-in user, or of a program.",
        },
        "api_key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "An API key (`tn_live_…`).",
        },
    },
)
OPERATORS = Edition(
    title="Tenantry operator API",
    introduction=_FOLDER / "operators.md.template",
    tags={
        "tenants": "The customers of the SaaS, each with a PostgreSQL schema of its own.",
        "plans": "Rate limits, quotas, features and Stripe prices that tenants can buy.",
        "routes": "Paths that lead to the SaaS's own services, by version of the whole configuration.",
        "upstreams": "The SaaS's own services that routes go to.",
        "operator keys": "Keys of the SaaS's own staff and services: their role and expiry.",
        "verify": "Decisions on requests that other services have received, for services and for proxies.",
        "leaked keys": "Reports of keys that were found in public.",
        "operators' audit log": "What operators have changed, in a chain that shows every later edit.",
        "Stripe events": "The events received from Stripe, and the endpoint that receives them.",
        "migrations": "The revisions of the control schema and of each tenant's schema.",
        "health": "Probes and metrics of a worker process.",
    },
    schemes={
        "bearer": {"type": "http", "scheme": "bearer", "description": "An operator key (`tn_op_…`)."},
        "operator_key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "An operator key (`tn_op_…`), made with `tenantry operator-keys create`.",
        },
    },
)
EDITIONS = (TENANTS, OPERATORS)


def edition_of(terms: Terms) -> Edition:
    """The document that describes a route with these terms."""
    return OPERATORS if terms.operations or terms.guard.audience is Audience.OPERATORS else TENANTS
