"""What one worker's throttle has done since it started: added up where it happens, read by whoever measures."""

from dataclasses import dataclass


@dataclass(slots=True)
class Figures:
    """Tokens and calls, over all tenants. Tokens that were granted too late to be spent are given back, too."""

    leased: int = 0  # granted by Redis
    spent: int = 0
    given_back: int = 0
    answered: int = 0  # calls to Redis
    unanswered: int = 0
    seconds: float = 0.0  # that the answered ones took together
    outages: int = 0  # of Redis, as this worker saw it
