"""What a set of roles allows, as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenants.identifiers import TenantId


@dataclass(frozen=True, slots=True)
class Policy:
    """Roles and the names of the permissions that each of them holds, at one revision.

    Two policies are equal when owner and revision are: a change of ``roles`` needs another revision.
    """

    tenant: TenantId | None  # None for the built-in roles, which all tenants share
    revision: int
    roles: Mapping[str, frozenset[str]] = field(compare=False)
    key: str = field(init=False, compare=False)  # names owner and revision; text, because its hash is computed once

    def __post_init__(self) -> None:
        owner = "built-in" if self.tenant is None else self.tenant.hex
        object.__setattr__(self, "key", f"{owner}:{self.revision}")


NO_OWN_ROLES = Policy(None, 0, {})  # of a principal whose roles are all built in
