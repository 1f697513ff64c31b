"""Recovery codes: for a person who has lost their authenticator app and passkeys. Each is good for one sign-in.

Format: ``xxxx-xxxx-xxxx-xxxx``, 80 random bits in Crockford's base32, which has no letters that are read for another.
"""

import re
import secrets

COUNT = 10
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARACTERS = 16
_GROUP = 4
_CODE = re.compile(f"[{_ALPHABET}]{{{_CHARACTERS}}}", re.ASCII)
_READ_AS = str.maketrans({"i": "1", "l": "1", "o": "0", "-": "", " ": ""})


def new_codes() -> list[str]:
    """A set of codes, from the operating system's random source."""
    return ["-".join(_characters(_GROUP) for _ in range(_CHARACTERS // _GROUP)) for _ in range(COUNT)]


def canonical(text: str) -> str | None:
    """The characters of a code, which are what is hashed; None for other text. Case and separators do not matter."""
    characters = text.lower().translate(_READ_AS)
    return characters if _CODE.fullmatch(characters) else None


def _characters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))
