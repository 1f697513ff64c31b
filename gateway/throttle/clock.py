"""Bounds on Redis's clock at a moment of this process's clock."""

_MICROSECONDS = 1_000_000
_DRIFT = 200  # microseconds that two clocks may drift apart in a second; ordinary ones stay below 100


class ServerClock:
    """Bounds on the server's clock (microseconds) at moments of our monotonic clock (seconds), learned from replies.

    A reply shows what the server's clock read at some moment between sending and receiving. Each reply narrows the
    bounds, so that one slow reply does not widen them. A reply outside the bounds means that the clock was set, and
    resets them. The clocks also drift while a reply is on its way, so its age counts from the sending.
    """

    __slots__ = ("_max_offset", "_min_offset", "_observed_at")

    def __init__(self) -> None:
        self._min_offset = 0.0  # server clock minus ours, microseconds
        self._max_offset = 0.0
        self._observed_at: float | None = None

    def observe(self, *, sent: float, received: float, server: int) -> None:
        """A call was sent and answered at these moments, and the server read its clock in between."""
        least, most = server - received * _MICROSECONDS, server - sent * _MICROSECONDS
        if self._observed_at is not None:
            drift = max(0.0, sent - self._observed_at) * _DRIFT
            narrower = max(least, self._min_offset - drift), min(most, self._max_offset + drift)
            if narrower[0] <= narrower[1]:
                least, most = narrower
        self._min_offset, self._max_offset, self._observed_at = least, most, sent

    def latest(self, moment: float) -> int:
        """Upper bound of the server's clock at that moment, microseconds."""
        return int(moment * _MICROSECONDS + self._max_offset + self._drift(moment)) + 1

    def certainly_after(self, server: int) -> float:
        """The moment from which the server's clock has certainly reached ``server``."""
        moment = (server - self._min_offset) / _MICROSECONDS
        return moment + self._drift(moment) / _MICROSECONDS

    def possibly_after(self, server: int) -> float:
        """The moment until which the server's clock has certainly not reached ``server``."""
        moment = (server - self._max_offset) / _MICROSECONDS
        return moment - self._drift(moment) / _MICROSECONDS

    def _drift(self, moment: float) -> float:
        """Microseconds that the clocks may have drifted apart since the last call was sent."""
        return abs(moment - (self._observed_at or moment)) * _DRIFT
