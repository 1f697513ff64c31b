"""The retry budget of an upstream (PX10): retries must not multiply the load of a service that fails."""

from collections import deque

WINDOW = 10  # seconds: the requests and retries that are compared
LEAST = 10  # retries a second that are allowed in any case, so that a service with few requests has them too


class RetryBudget:
    """Over the last ten seconds: at most ``share`` of the requests are retried, and ten a second besides.

    Counting a request is one addition. ``tick`` is called once a second by ``Upstreams`` and moves the window.
    """

    __slots__ = ("_marks", "denied", "requests", "retries", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self.requests = 0  # since the start of the worker, as the next two
        self.retries = 0
        self.denied = 0
        self._marks: deque[tuple[int, int]] = deque([(0, 0)] * WINDOW, WINDOW)  # totals at the last ticks

    def allows_retry(self) -> bool:
        """Whether a request may be sent once more; if so, it is counted as a retry."""
        requests, retries = self._marks[0]
        if self.retries - retries >= self.share * (self.requests - requests) + LEAST * WINDOW:
            self.denied += 1
            return False
        self.retries += 1
        return True

    def tick(self) -> None:
        """A second has passed."""
        self._marks.append((self.requests, self.retries))
