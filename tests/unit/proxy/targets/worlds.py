"""Upstreams with a clock that tests move, without connections."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.proxy.targets.target import Target
from gateway.proxy.targets.upstream import Upstream
from gateway.proxy.targets.upstreams import Upstreams
from tenants.routes.schemas import TargetSpec, UpstreamSpec


class World:
    """One upstream named "echo", whose targets have the weights in order."""

    def __init__(self, weights: Sequence[int], *, seed: int = 0, **fields: Any) -> None:
        self.now = 1_000.0
        self.upstreams = Upstreams(clock=lambda: self.now, rand=random.Random(seed).random)  # noqa: S311 - a simulation
        self.apply(weights, **fields)

    def apply(self, weights: Sequence[int], **fields: Any) -> None:
        """Another version with so many targets."""
        urls = [f"http://10.0.0.{number}:80" for number in range(1, len(weights) + 1)]
        targets = tuple(TargetSpec(url=url, weight=weight) for url, weight in zip(urls, weights, strict=True))
        spec = UpstreamSpec.model_validate({"name": "echo", "targets": targets, **fields})
        self.upstreams.apply([spec])
        self.meter = self.upstream.meter("route")

    @property
    def upstream(self) -> Upstream:
        return self.upstreams["echo"]

    @property
    def targets(self) -> list[Target]:
        return list(self.upstream.shared.targets)

    def shares(self, picks: int) -> Mapping[Target, float]:
        """Of so many requests that end before the next one begins."""
        counts = dict.fromkeys(self.targets, 0)
        for _ in range(picks):
            counts[self.upstream.pick("acme")] += 1
        return {target: count / picks for target, count in counts.items()}
