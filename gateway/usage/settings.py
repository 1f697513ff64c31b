"""What counting is told at start."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """Where the journals are, how large one worker's may grow, and how often they are rolled up."""

    folder: Path = Path(".tenantry/usage")
    journal_bytes: int = 256 * 2**20  # of one worker, while PostgreSQL takes nothing
    flush_seconds: float = 10.0
    slots: int = 4095  # of a segment at least: one for each caller, route and status class of a minute
