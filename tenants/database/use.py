"""How many connections of a pool are in use, for the metrics."""

from typing import NamedTuple


class PoolUse(NamedTuple):
    """Connections at this moment, and requests that wait for one."""

    in_use: int
    idle: int
    waiting: int
    most: int  # the size of the pool
