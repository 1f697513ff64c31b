"""What workloads never may, whatever their rule's role holds.

Their tokens end within minutes. These permissions make or prolong something that outlasts them: a key, an invitation, a
provider that signs people in, another rule. A token that leaks from a build must not become a lasting credential.
"""

from collections.abc import Iterable

WITHHELD = frozenset(
    {
        *("api_keys:create", "api_keys:rotate", "api_keys:update", "invitations:create", "owners:manage"),
        *("scim:manage", "service_keys:create", "sso:manage", "workloads:manage"),
    }
)


def permitted(scopes: Iterable[str] | None, everything: frozenset[str]) -> frozenset[str]:
    """The scopes of a workload's principal: those of its rule; None gives ``everything`` there is."""
    return (everything if scopes is None else frozenset(scopes)) - WITHHELD
