"""Cursors of lists: what a page ended with, signed, and bound to the very list that it is a page of (IS6).

What stands in a cursor is what the caller has seen already, so it is not encrypted; changed, or taken to another list,
it is refused.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from tenants.errors import ValidationFailed

_PURPOSE = b"tenantry cursor 2"  # a new layout gets a new number, and old cursors are refused
_MAC_BYTES = 16


class BadCursor(ValidationFailed):
    """Not a cursor of this list."""

    def __init__(self) -> None:
        """Tell the caller where it stands and what to do."""
        wanted = "Not a cursor of this list: take next_cursor as it is, with the same query."
        super().__init__(ValidationFailed.at("/query/cursor", "bad_cursor", wanted).errors)


class SignedCursors:
    """Signs and reads the cursors of one list.

    ``secret`` is the deployment's, the same on every worker; ``bound`` says which list it is: its name, its tenant, its
    order, and whatever else must not change from page to page.
    """

    def __init__(self, secret: bytes, bound: bytes) -> None:
        self._key = hmac.digest(hmac.digest(secret, _PURPOSE, "sha256"), bound, "sha256")

    def write(self, content: bytes) -> str:
        """The cursor that says this."""
        mac = hmac.digest(self._key, content, "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(mac + content).rstrip(b"=").decode()

    def read(self, cursor: str) -> bytes:
        """What ``write`` was given. Raises BadCursor."""
        try:
            content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[_MAC_BYTES:]
        except ValueError:
            raise BadCursor from None
        # Compared as it is spelled: the decoder skips what is not of its alphabet.
        if not hmac.compare_digest(self.write(content).encode(), cursor.encode()):
            raise BadCursor
        return content
