"""The load, from this process or from helpers beside it."""

import asyncio
import math
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.pool import Pool

import uvloop

from gateway.development.load import Result, run_load, run_paced


@dataclass(frozen=True, slots=True)
class Pace:
    """What to send where, and how fast."""

    urls: Sequence[str]
    requests: Sequence[bytes]  # sent in turn, again and again
    rate: float  # requests a second
    seconds: float = math.inf
    connections: int = 16  # to each URL


def closed(url: str, requests: Iterable[bytes], *, connections: int, seconds: float) -> Result:
    """``run_load`` on uvloop."""
    with _runner() as runner:
        return runner.run(run_load(url, requests, connections=connections, seconds=seconds))


def closed_again(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> Result:
    """The same of requests that are sent again and again: what a helper can be given."""
    return closed(url, cycle(requests), connections=connections, seconds=seconds)


def paced(pace: Pace) -> Result:
    """``run_paced`` on uvloop."""
    with _runner() as runner:
        return runner.run(
            run_paced(
                pace.urls, cycle(pace.requests), rate=pace.rate, connections=pace.connections, seconds=pace.seconds
            )
        )


def helpers(count: int, nice: int = 0) -> Pool:
    """Processes that send beside this one, on the same core. They are ended, whatever they do, with the ``with`` block.

    ``nice`` ones give way to this process: what they send late is then their own, and in no figure that is taken here.
    """
    return multiprocessing.get_context("spawn").Pool(count, initializer=os.nice, initargs=(nice,))


def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
