"""Proxied requests: the gateway beside nginx, HAProxy, Envoy, Traefik, Caddy and Fastify before one upstream.

CPU time per request is of the proxy alone, which has the first core; upstream and load share the last one.
"""

import asyncio
from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.deployment import Deployment, open_deployment, settings_of
from benchmarks.options import Options
from benchmarks.proxies import LARGE, SMALL, Contestant, Proxies, upstream_server
from benchmarks.proxy_configurations import KEY
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from benchmarks.workloads import (
    CONNECTIONS,
    Figure,
    PacedLoad,
    Workload,
    caveats,
    cpu,
    p50,
    p99,
    rate,
    run_rounds,
    value_range,
)
from gateway.development.load import request_bytes
from gateway.features import opened
from tenants.audit.origin import SYSTEM
from tenants.routes.schemas import Configuration, RouteSpec, TargetSpec, UpstreamSpec

OURS, BASELINE = "Tenantry", "nginx"
_WORK = "key, role, three windows over all workers, usage, identity"
_BEHIND = ("Envoy", "Traefik", "Caddy", "Fastify")  # that a proxied request must cost less than
_PERMISSION = "contacts:read"
_RATE = 2_000  # requests a second, which every proxy can serve


def measure(options: Options) -> Report:
    """CPU per request, latency on one connection, and ``/authorize`` behind nginx."""
    with open_deployment() as deployment:
        upstream = upstream_server(deployment.servers)
        declare_routes(deployment, _configuration(upstream))
        proxies = Proxies(deployment.servers, _address(upstream))
        gateway = deployment.servers.gateway()
        others = list(proxies.every())
        small = _small(deployment, gateway, others)
        large = _each(deployment, gateway, others[0].server, LARGE)
        behind = [
            small[1],
            _workload(
                "nginx with /authorize",
                proxies.nginx_asking(gateway, deployment.tenant.headers),
                SMALL,
                deployment.tenant.headers,
            ),
        ]
        run_rounds([*small, *large, behind[1]], options, options.scale(2.0, 0.3))
        alone = _alone(deployment, gateway, upstream)
        run_rounds(alone, options, options.scale(2.0, 0.3))
        paced = _at_one_rate(small[:2], options)
    return Report(
        [
            _costs("1 KB proxied", small, _works(others)),
            _costs("100 KB proxied", large, {}),
            _paced_costs(paced),
            _latencies(alone),
            _rates(behind),
        ],
        [*_cost_targets(small, large), *_latency_targets(alone), _rate_target(behind)],
    )


def declare_routes(deployment: Deployment, configuration: Configuration) -> None:
    """All that the gateway proxies."""

    async def declare() -> None:
        async with opened(settings_of(deployment.environment)) as features, features.database.control() as session:
            await features.routes.apply(session, configuration, origin=SYSTEM)

    asyncio.run(declare())


def _configuration(upstream: Server) -> Configuration:
    """One route, for those who may read contacts."""
    route = RouteSpec(name="echo", upstream="echo", path="/echo", permission=_PERMISSION)
    target = UpstreamSpec(name="echo", targets=(TargetSpec(url=upstream.url),))
    return Configuration(upstreams=(target,), routes=(route,))


def _small(deployment: Deployment, gateway: Server, others: Sequence[Contestant]) -> list[Workload]:
    """The gateway's workload, then those of the others."""
    theirs = [_workload(each.name, each.server, SMALL, {"X-API-Key": KEY}) for each in others]
    return [_workload(OURS, gateway, SMALL, deployment.tenant.headers), *theirs]


def _each(deployment: Deployment, gateway: Server, nginx: Server, path: str) -> list[Workload]:
    fields = deployment.tenant.headers
    return [_workload(OURS, gateway, path, fields), _workload(BASELINE, nginx, path, fields)]


def _alone(deployment: Deployment, gateway: Server, upstream: Server) -> list[Workload]:
    fields = deployment.tenant.headers
    return [
        _workload("the upstream itself", upstream, SMALL, fields, connections=1),
        _workload(OURS, gateway, SMALL, fields, connections=1),
    ]


def _workload(name: str, server: Server, path: str, fields: dict[str, str], connections: int = CONNECTIONS) -> Workload:
    return Workload(name, server, [request_bytes(server.url + path, fields)], connections=connections)


def _at_one_rate(workloads: Sequence[Workload], options: Options) -> dict[str, list[float]]:
    """CPU microseconds per request, round by round, with the same number of requests a second for each.

    A server at its own full speed handles several events in each turn and never finds the other core asleep, so the
    faster one pays less for the same system calls.
    """
    costs: dict[str, list[float]] = {each.name: [] for each in workloads}
    for _ in range(options.rounds):
        for each in workloads:
            load = PacedLoad([each.server.url], each.requests, _RATE, options.scale(2.0, 0.3))
            before = each.server.cpu_seconds()
            count = load.run().count
            costs[each.name].append((each.server.cpu_seconds() - before) / count * 1e6)
    return costs


def _paced_costs(costs: dict[str, list[float]]) -> Table:
    columns = (Column("proxy"), Column("CPU µs", ".1f"), Column("CPU / nginx", ".2f"))
    rows: list[list[Cell]] = []
    for name, figures in costs.items():
        ratios = [one / other for one, other in zip(figures, costs[BASELINE], strict=True)]
        rows.append([name, median(figures), median(ratios)])
    return Table(f"1 KB proxied at {_RATE:,} requests a second: CPU time of the proxy per request", columns, rows)


def _costs(title: str, workloads: Sequence[Workload], works: dict[str, str]) -> Table:
    baseline = _named(workloads, BASELINE)
    columns = (
        Column("proxy"),
        Column("work"),
        Column("CPU µs", ".1f"),
        Column("CPU / nginx", ".2f"),
        Column("range", ".2f"),
        Column("requests/s", ",.0f"),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
    )
    rows: list[list[Cell]] = []
    for each in workloads:
        ratios = each.ratios(baseline, cpu)
        row: list[Cell] = [each.name, works.get(each.name, ""), each.median(cpu), median(ratios), value_range(ratios)]
        rows.append([*row, *map(each.median, (rate, p50, p99))])
    return Table(f"{title}: CPU time of the proxy per request", columns, rows, caveats(workloads))


def _latencies(alone: Sequence[Workload]) -> Table:
    columns = (Column("one connection, 1 KB"), Column("p50 ms", ".3f"), Column("p99 ms", ".3f"))
    rows: list[list[Cell]] = [[each.name, each.median(p50), each.median(p99)] for each in alone]
    return Table("Latency on one connection", columns, rows)


def _rates(behind: Sequence[Workload]) -> Table:
    baseline, asking = behind
    ratios = asking.ratios(baseline, rate)
    columns = (Column("nginx, gateway and both on one core"), Column("requests/s", ",.0f"), Column("ratio", ".2f"))
    rows: list[list[Cell]] = [
        [baseline.name, baseline.median(rate), 1.0],
        [asking.name, asking.median(rate), median(ratios)],
    ]
    return Table("`/authorize` behind nginx", columns, rows)


def _cost_targets(small: Sequence[Workload], large: Sequence[Workload]) -> list[Target]:
    ours = small[0]
    targets = [
        Target("1 KB proxied: CPU / nginx", Bound.AT_MOST, 2.7, _ratio(ours, _named(small, BASELINE), cpu)),
        Target("100 KB proxied: CPU / nginx", Bound.AT_MOST, 2.0, _ratio(large[0], large[1], cpu)),
    ]
    ahead = [each for each in small if each.name in _BEHIND]
    return targets + [
        Target(f"1 KB proxied: CPU / {each.name}", Bound.AT_MOST, 1.0, _ratio(ours, each, cpu)) for each in ahead
    ]


def _latency_targets(alone: Sequence[Workload]) -> list[Target]:
    direct, ours = alone
    bounds: tuple[tuple[str, Figure, float], ...] = (("p50", p50, 0.2), ("p99", p99, 1.0))
    return [
        Target(f"latency added, {name} ms", Bound.AT_MOST, most, ours.median(figure) - direct.median(figure), ".3f")
        for name, figure, most in bounds
    ]


def _rate_target(behind: Sequence[Workload]) -> Target:
    return Target("/authorize behind nginx: rate / nginx", Bound.AT_LEAST, 0.25, _ratio(behind[1], behind[0], rate))


def _ratio(one: Workload, other: Workload, figure: Figure) -> float:
    return median(one.ratios(other, figure))


def _named(workloads: Iterable[Workload], name: str) -> Workload:
    return next(each for each in workloads if each.name == name)


def _works(others: Iterable[Contestant]) -> dict[str, str]:
    return {OURS: _WORK} | {each.name: each.work for each in others}


def _address(server: Server) -> str:
    return server.url.removeprefix("http://")
