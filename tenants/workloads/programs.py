"""Workloads as principals whose rights a change of roles may change (docs/decisions/0044)."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenants.database.sessions import ControlSession
from tenants.decisions.judgement import Program
from tenants.identifiers import TenantId
from tenants.roles.vocabulary import CurrentPermissions
from tenants.workloads import repository
from tenants.workloads.permitted import permitted


@dataclass(frozen=True, slots=True)
class Programs:
    """``permissions`` are those of the deployment."""

    permissions: CurrentPermissions

    async def read(self, session: ControlSession, tenant: TenantId) -> Sequence[Program]:
        """The tenant's rules that work."""
        rules = await repository.enabled(session, tenant)
        return [Program(each.id, each.role, permitted(each.scopes, self.permissions.names)) for each in rules]
