"""What throttling is told at start."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """Where the counters are, and how long a request may wait for them."""

    redis_url: str | None = None  # redis://, rediss:// or unix://; None counts in each process, by its share
    workers: int = 1  # worker processes over all hosts: without Redis each gives this part of a limit
    deadline_seconds: float = 0.005  # silence of Redis after which a request is decided without it (TH8)
    connections: int = 16  # to Redis, of one worker
    takes_over: bool = False  # another worker stood in this one's place, and may have given its whole share

    def __post_init__(self) -> None:
        if self.workers < 1 or self.connections < 1 or self.deadline_seconds <= 0:
            raise ValueError("workers and connections must be at least 1, the deadline longer than nothing")
