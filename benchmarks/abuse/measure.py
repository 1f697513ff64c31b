"""Runs every scenario against two workers of this checkout and, with ``BASE``, of another one in the same run.

The harm that one client can do is a figure of its own: seconds that an admin is shut out, megabytes pinned, answers
served beyond a limit. Each scenario starts with fresh workers, so that none inherits another one's caches.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from benchmarks.abuse import (
    bad_credentials,
    bodies,
    held_memory,
    key_families,
    management,
    shapes,
    sign_in,
    slow_readers,
)
from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.servers import Servers

_WORKERS = 2
_BEFORE, _AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of abuse. ``environment`` is set for its servers."""

    name: str
    measure: Callable[[Target], Sequence[Finding]]
    environment: Mapping[str, str] = field(default_factory=dict)


# The defaults, in place of the limits of other benchmarks, which are never reached.
_MANAGED = {"TENANTRY_MANAGEMENT_REQUESTS": "1200", "TENANTRY_PRINCIPAL_MANAGEMENT_REQUESTS": "120"}
_SCENARIOS: tuple[Scenario, ...] = (
    Scenario("expensive bodies", bodies.measure),
    Scenario("unfinished bodies", held_memory.measure),
    Scenario("slow readers", slow_readers.measure),
    Scenario("management", management.measure, _MANAGED),
    Scenario("key families", key_families.measure, _MANAGED),
    Scenario("bad credentials", bad_credentials.measure),
    Scenario("sign-in", sign_in.measure),
    Scenario("shapes of lists", shapes.measure),
)


def measure(options: Options) -> Report:
    """One table: the figures of each scenario, before and after."""
    with open_deployment() as deployment:
        checkouts = {_AFTER: deployment.servers}
        if options.base:
            checkouts = {_BEFORE: deployment.servers_of(options.base), **checkouts}
        rows = [row for each in _SCENARIOS for row in _rows(each, deployment, checkouts, options)]
    columns = (Column("abuse"), Column("figure"), *(Column(each, ",.4g") for each in checkouts))
    return Report([Table(f"Harm done by one client, {_WORKERS} workers", columns, rows)])


def _rows(
    scenario: Scenario, deployment: Deployment, checkouts: Mapping[str, Servers], options: Options
) -> list[list[Cell]]:
    found: dict[str, dict[str, float]] = {}
    for checkout, servers in checkouts.items():
        log_progress(f"{scenario.name}, {checkout}")
        with ExitStack() as stack:
            server = replace(servers, stack=stack).gateway(_WORKERS, **scenario.environment)
            for each in scenario.measure(Target(deployment, server, checkout, options)):
                found.setdefault(each.figure, {})[checkout] = each.value
    return [[scenario.name, figure, *map(values.get, checkouts)] for figure, values in found.items()]
