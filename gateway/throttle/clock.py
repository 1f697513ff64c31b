"""What Redis's clock can read at a moment of ours: bounds, never a guess."""

_MICROSECONDS = 1_000_000
_DRIFT = 200  # microseconds that two clocks may part in a second; ordinary ones stay below 100


class ServerClock:
    """Bounds on the server's clock (microseconds) at our monotonic moments (seconds), from what replies have shown.

    A reply tells what the server's clock read at some moment between sending and receiving. Each reply narrows the
    bounds, so that one slow answer does not widen them; a reply outside them means that the clock was set, and starts
    them anew. The clocks part on the way as well, so a reply's age is counted from its sending.
    """

    __slots__ = ("_least", "_most", "_seen")

    def __init__(self) -> None:
        self._least = 0.0  # server clock minus ours, microseconds
        self._most = 0.0
        self._seen: float | None = None

    def saw(self, *, sent: float, received: float, server: int) -> None:
        """A call was sent and answered at these moments of ours, and the server read its clock in between."""
        least, most = server - received * _MICROSECONDS, server - sent * _MICROSECONDS
        if self._seen is not None:
            drift = max(0.0, sent - self._seen) * _DRIFT
            narrower = max(least, self._least - drift), min(most, self._most + drift)
            if narrower[0] <= narrower[1]:
                least, most = narrower
        self._least, self._most, self._seen = least, most, sent

    def latest(self, moment: float) -> int:
        """What the server's clock reads at most, microseconds, at that moment of ours."""
        return int(moment * _MICROSECONDS + self._most + self._parted(moment)) + 1

    def certainly_after(self, server: int) -> float:
        """The moment of ours from which the server's clock has surely reached ``server``."""
        moment = (server - self._least) / _MICROSECONDS
        return moment + self._parted(moment) / _MICROSECONDS

    def possibly_after(self, server: int) -> float:
        """The moment of ours until which the server's clock has surely not reached ``server``."""
        moment = (server - self._most) / _MICROSECONDS
        return moment - self._parted(moment) / _MICROSECONDS

    def _parted(self, moment: float) -> float:
        """Microseconds that the clocks may have parted between the sending of the last call and that moment."""
        return abs(moment - (self._seen or moment)) * _DRIFT
