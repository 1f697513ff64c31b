"""A Lua script beside this file, as Redis is asked to run it."""

from hashlib import sha1
from pathlib import Path


class Script:
    """Called by its name, which EVALSHA wants to be the SHA-1 of its text."""

    __slots__ = ("name", "text")

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.name = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


GRANT = Script("grant.lua")
SLOTS = Script("slots.lua")
SCRIPTS = (GRANT, SLOTS)
