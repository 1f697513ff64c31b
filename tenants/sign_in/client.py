"""What a person's client says of itself, which the list of their sessions shows."""

from dataclasses import dataclass
from typing import Self

_LONGEST = 200  # characters


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """``user_agent`` is printable text of at most 200 characters, or empty. It proves nothing: any client sends any."""

    user_agent: str

    @classmethod
    def of(cls, user_agent: str) -> Self:
        """From a ``User-Agent`` field as it was received: what a page or a terminal would not show is dropped."""
        return cls("".join(filter(str.isprintable, user_agent))[:_LONGEST].strip())
