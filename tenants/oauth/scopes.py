"""The ``scope`` of a token request: permissions, separated by spaces (RFC 6749 section 3.3)."""

from collections.abc import Collection

from tenants.oauth.errors import InvalidScope

MOST_SCOPES = 100
LONGEST_SCOPE = 3_000  # characters: a token has at most 8 KB, and with it a request's header fields


def narrowed(requested: str | None, held: Collection[str]) -> frozenset[str] | None:
    """The permissions that are asked for, each of them held. None asks for no narrowing. Raises InvalidScope."""
    if requested is None:
        return None
    names = frozenset(requested.split(" "))
    if len(requested) > LONGEST_SCOPE or len(names) > MOST_SCOPES or not names <= frozenset(held):
        raise InvalidScope
    return names
