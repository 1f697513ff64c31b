"""What one endpoint is: where it stands, what it takes, and what it does with one change of the state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.development.stripe.parameters import Parameters
from gateway.development.stripe.state import Change, Record

P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[P]):
    """``handler(change, parameters, object_id)``; the id is empty where the path has none."""

    method: str
    path: str  # under /v1, Starlette's form, with at most one parameter named ``id``
    parameters: type[P]
    handler: Callable[[Change, P, str], Record]


AnyEndpoint = Endpoint[Any]
