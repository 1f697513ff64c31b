"""The open WebSockets of a worker: their limits on time, and their metrics."""

from collections import Counter
from collections.abc import Iterator

from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.proxy.websocket.tunnel import Tunnel

_OPEN = Metric(MetricKind.SUM, "tenantry_websockets_open", "Open WebSockets of proxied routes.")
_MESSAGES = Metric(
    MetricKind.COUNTER, "tenantry_websocket_messages", "Messages of WebSockets, by who has sent them.", ("sender",)
)
_ENDED = Metric(MetricKind.COUNTER, "tenantry_websockets_ended", "WebSockets that have ended, by reason.", ("reason",))


class OpenSockets:
    """One per worker process."""

    def __init__(self) -> None:
        self._open: set[Tunnel] = set()
        self._ended: Counter[str] = Counter()
        self._from_clients = self._from_upstreams = 0  # messages of those that have ended

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tunnel: Tunnel) -> None:
        """It has been opened."""
        self._open.add(tunnel)

    def remove(self, tunnel: Tunnel) -> None:
        """It has ended."""
        self._open.discard(tunnel)
        self._ended[tunnel.reason] += 1
        self._from_clients += tunnel.client.reader.messages
        self._from_upstreams += tunnel.upstream.reader.messages

    def tick(self, now: float) -> None:
        """Called about twice a second, with the event loop's clock."""
        for each in tuple(self._open):
            each.tick(now)

    def samples(self) -> Iterator[Sample]:
        """Read once a second."""
        yield _OPEN.sample(len(self._open))
        yield _MESSAGES.sample(self._from_clients + sum(each.client.reader.messages for each in self._open), "client")
        upstreams = sum(each.upstream.reader.messages for each in self._open)
        yield _MESSAGES.sample(self._from_upstreams + upstreams, "upstream")
        yield from (_ENDED.sample(count, reason) for reason, count in self._ended.items())
