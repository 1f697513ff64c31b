"""What a request costs: the tokens that it takes of every window of its tenant's plan, and its part of the usage."""

from collections.abc import Iterator, Mapping

VERBS = ("list", "read", "create", "update", "delete")
# Of one request: at 65,000 requests a second, a minute of it fits into the 32 bits that gateway/usage has for it.
MOST_COST = 1023


def is_cost(value: object) -> bool:
    """A whole number that can be charged and counted."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_COST


def faults_of_costs(costs: object) -> Iterator[str]:
    """Everything wrong with the costs of a declaration, each with what to write instead."""
    if not isinstance(costs, Mapping):
        yield 'costs must say which verb costs how much, such as {"list": 5}'
        return
    for verb, cost in costs.items():
        if verb not in VERBS:
            yield f"costs names {verb!r}, which is no verb; there are {', '.join(VERBS)}"
        elif not is_cost(cost):
            yield f"costs says {cost!r} of {verb!r}; write a whole number from 1 to {MOST_COST}"
