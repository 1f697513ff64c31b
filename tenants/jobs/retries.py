"""When a failed job is retried."""

import random
from dataclasses import dataclass

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job


@dataclass(frozen=True, slots=True)
class BackOff(BaseRetryStrategy):
    """Exponential back-off with a maximum, at most ``attempts`` times: some three hours with these defaults."""

    first: float = 2.0  # seconds
    longest: float = 900.0  # seconds
    attempts: int = 20

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:  # noqa: ARG002 - the library's signature
        if job.attempts + 1 >= self.attempts:
            return None
        return RetryDecision(retry_in={"milliseconds": int(self.pause(job.attempts) * 1000)})

    def pause(self, failures: int) -> float:
        """Seconds after that many failures, with 25 % jitter, so that jobs that fail together are retried apart."""
        spread: float = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
        return min(self.longest, self.first * 2.0 ** min(failures, 30)) * spread
