"""The client of a sign-in: what it says of itself, and where its request comes from."""

from dataclasses import dataclass
from typing import Self

from tenants.audit.origin import Origin
from tenants.principal import ANONYMOUS_ACTOR

_LONGEST = 200  # characters
UNKNOWN_ORIGIN = Origin(ANONYMOUS_ACTOR)


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """``user_agent`` is printable text of at most 200 characters, or empty. It proves nothing: any client sends any.

    ``origin`` is that of the request, for the audit log; its actor becomes the person once they have signed in.
    """

    user_agent: str
    origin: Origin = UNKNOWN_ORIGIN

    @classmethod
    def of(cls, user_agent: str, origin: Origin = UNKNOWN_ORIGIN) -> Self:
        """From a ``User-Agent`` field as it was received: what a page or a terminal would not show is dropped."""
        return cls("".join(filter(str.isprintable, user_agent))[:_LONGEST].strip(), origin)


UNKNOWN_CLIENT = ClientInfo("")
