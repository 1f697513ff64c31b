"""Settings of usage counting."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """Where the journals are, how large one worker's may grow, and how often it is written to PostgreSQL."""

    folder: Path = Path(".tenantry/usage")
    journal_bytes: int = 256 * 2**20  # of one worker, while PostgreSQL is unavailable
    flush_seconds: float = 10.0
    records: int = 4095  # minimum of a segment: one for each principal, route and status class of a minute
