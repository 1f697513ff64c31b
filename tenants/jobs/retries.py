"""When a failed job is tried again."""

import random
from dataclasses import dataclass

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job


@dataclass(frozen=True, slots=True)
class BackOff(BaseRetryStrategy):
    """Doubles the pause up to a longest, and gives up after ``attempts``: some three hours with the figures below."""

    first: float = 2.0  # seconds
    longest: float = 900.0  # seconds
    attempts: int = 20

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:  # noqa: ARG002 - the library's signature
        if job.attempts + 1 >= self.attempts:
            return None
        return RetryDecision(retry_in={"milliseconds": int(self.pause(job.attempts) * 1000)})

    def pause(self, failures: int) -> float:
        """Seconds after that many failures, spread by a quarter: what failed together comes back apart."""
        spread: float = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
        return min(self.longest, self.first * 2.0 ** min(failures, 30)) * spread
