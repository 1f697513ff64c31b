"""What operators may do when they act for a tenant: manage it, and reach none of its data.

Everything is closed that is not listed here. Among what stays closed is what gives a credential (keys are neither made
nor rotated) or decides who can sign in as whom (single sign-on, provisioning), and the audit log, which has the values
of changed data: staff would get the tenant's data by it.
"""

from collections.abc import Mapping

from tenants.principal import OperatorRole
from tenants.roles.builtin import BuiltInRole

ACTING_ROLE = BuiltInRole.OWNER.value  # narrowed to these permissions

_READS = frozenset({"api_keys:read", "decisions:explain", "members:read", "roles:read", "tenant:read", "usage:read"})
_CHANGES = frozenset(
    {
        *("api_keys:revoke", "tenant:update"),
        *("members:update", "members:remove", "owners:manage"),
        *("roles:create", "roles:update", "roles:delete"),
    }
)
ACTING_PERMISSIONS: Mapping[OperatorRole, frozenset[str]] = {
    OperatorRole.ADMIN: _READS | _CHANGES,
    OperatorRole.SUPPORT: _READS,
    OperatorRole.VERIFIER: frozenset(),
}
