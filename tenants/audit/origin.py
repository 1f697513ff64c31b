"""Where a change comes from, as its row of the audit log records it."""

from dataclasses import dataclass, replace

from tenants.principal import SYSTEM_ACTOR, Actor, ActorKind


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused a change, by which request, from which address, and why. Contains no secret."""

    actor: Actor
    request_id: str | None = None  # ``req_…``; of a change that Stripe caused, the id of Stripe's event
    source: str | None = None  # address of the caller
    reason: str | None = None  # as the actor gave it

    def by(self, actor: Actor) -> "Origin":
        """The same request by an actor that is known by now, such as a person who has just signed in."""
        return replace(self, actor=actor)


SYSTEM = Origin(SYSTEM_ACTOR)
COMMAND_LINE = Origin(Actor(ActorKind.CLI))
