"""Cursors of lists: the position after a page, signed and bound to one list (IS6).

A cursor contains only values that the caller has received, so it is not encrypted. A modified cursor, or one of another
list, is rejected.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from tenants.errors import ValidationFailed

_PURPOSE = b"tenantry cursor 2"  # a new layout gets a new number, which rejects old cursors
_MAC_BYTES = 16


class BadCursor(ValidationFailed):
    """Not a cursor of this list."""

    def __init__(self) -> None:
        """A validation error at the ``cursor`` parameter."""
        message = "Not a cursor of this list. Send next_cursor unchanged, with the same query."
        super().__init__(ValidationFailed.at("/query/cursor", "bad_cursor", message).errors)


class SignedCursors:
    """Signs and reads the cursors of one list.

    ``secret`` is the deployment's, the same on every worker. ``bound`` identifies the list: its name, tenant, order,
    and everything else that must not change from page to page.
    """

    def __init__(self, secret: bytes, bound: bytes) -> None:
        self._key = hmac.digest(hmac.digest(secret, _PURPOSE, "sha256"), bound, "sha256")

    def write(self, content: bytes) -> str:
        """Sign ``content`` and encode it."""
        mac = hmac.digest(self._key, content, "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(mac + content).rstrip(b"=").decode()

    def read(self, cursor: str) -> bytes:
        """Verify a cursor and return its content. Raises BadCursor."""
        try:
            content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[_MAC_BYTES:]
        except ValueError:
            raise BadCursor from None
        # Compares the encoded text: the decoder ignores characters outside its alphabet.
        if not hmac.compare_digest(self.write(content).encode(), cursor.encode()):
            raise BadCursor
        return content
