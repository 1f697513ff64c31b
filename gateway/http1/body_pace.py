"""How fast a client sends the body of its request (PX8, LD2)."""

from gateway.http1.timeouts import Limits


class BodyPace:
    """The rate over the whole body, without the time in which nothing was read because the application was behind."""

    __slots__ = ("_began", "_limits", "_paused_at", "grace", "received")

    def __init__(self, limits: Limits, now: float) -> None:
        """``now`` is the event loop's clock in seconds, here and below."""
        self._limits = limits
        self._began = now
        self._paused_at = now
        self.grace = limits.grace  # seconds beyond those at the minimum rate
        self.received = 0  # bytes, framing included

    def pause(self, now: float) -> None:
        """Reading pauses."""
        self._paused_at = now

    def resume(self, now: float) -> None:
        """Reading goes on."""
        self._began += now - self._paused_at

    def seconds_left(self, now: float) -> float:
        """Until the body is too slow, if nothing more of it arrives."""
        return self._began + self.grace + self.received / self._limits.min_rate - now
