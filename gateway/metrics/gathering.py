"""The page that Prometheus reads: the values of all workers that share a folder, as one."""

from pathlib import Path

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.metrics.slot import bury_the_dead

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def gather(folder: Path) -> bytes:
    """Read what living and dead workers have written. Takes some milliseconds: call it in a thread."""
    bury_the_dead(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # the library annotates only its face
    return generate_latest(registry)
