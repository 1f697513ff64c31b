"""How much of a worker's connections is in use: what a pool tells whoever measures."""

from typing import NamedTuple


class PoolUse(NamedTuple):
    """Connections at this moment, and those who wait for one."""

    in_use: int
    idle: int
    waiting: int
    most: int  # connections that there may be
