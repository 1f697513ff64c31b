"""Costs of requests: the tokens charged to every window of the plan, and the amount added to usage."""

from collections.abc import Iterator, Mapping

VERBS = ("list", "read", "create", "update", "delete")
# Per request: at 65,000 requests a second, a minute's total fits into the 32 bits of the usage journal.
MOST_COST = 1023


def is_cost(value: object) -> bool:
    """Whether the value is an integer that can be charged and counted."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_COST


def faults_of_costs(costs: object) -> Iterator[str]:
    """All errors of a declaration's costs, each with what to write instead."""
    if not isinstance(costs, Mapping):
        yield 'costs must map verbs to costs, such as {"list": 5}'
        return
    for verb, cost in costs.items():
        if verb not in VERBS:
            yield f"costs names {verb!r}, which is not a verb; verbs are {', '.join(VERBS)}"
        elif not is_cost(cost):
            yield f"costs has {cost!r} for {verb!r}; write an integer from 1 to {MOST_COST}"
