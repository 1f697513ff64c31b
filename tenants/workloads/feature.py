"""Workload identity, put together from its parts."""

from dataclasses import dataclass

from tenants.api_keys.issuer import PermissionsOfRoles
from tenants.audit.refusals import Refusals
from tenants.database.sessions import Database
from tenants.oidc.discovery import Discovery
from tenants.workloads.exchange import WorkloadExchange
from tenants.workloads.service import WorkloadRules


@dataclass(frozen=True, slots=True)
class Workloads:
    """Programs of tenants that hold no key of ours."""

    rules: WorkloadRules
    exchange: WorkloadExchange


def build_workloads(
    database: Database,
    permissions_of: PermissionsOfRoles,
    discovery: Discovery,
    refusals: Refusals,
    *,
    own_issuer: str,
    allow_loopback_http: bool,
) -> Workloads:
    """Rules and exchanges ask the same issuers."""
    rules = WorkloadRules(permissions_of, discovery, own_issuer=own_issuer, allow_loopback_http=allow_loopback_http)
    return Workloads(rules, WorkloadExchange(database, discovery, refusals))
