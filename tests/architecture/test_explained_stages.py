"""Every stage of the gate has its part in an explanation, so that no decision is left out of one (AZ10)."""

from gateway.app import compose
from gateway.authorization.entitlement import EntitlementStage
from gateway.authorization.stage import AuthorizationStage
from gateway.cors.stage import CorsStage
from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.identity.acting import ActingStage
from gateway.identity.stage import IdentityStage
from gateway.routing.stage import RoutingStage
from gateway.throttle.stage import ThrottleStage
from gateway.usage.stage import UsageStage
from tests.fixtures.unconnected import unconnected_services

# In the order of the gate; None refuses no request of a tenant's principal that an explanation can be asked for.
_EXPLAINED: tuple[tuple[type, str | None], ...] = (
    (RoutingStage, "Explainer.routing"),
    (CorsStage, None),  # adds fields, and answers preflights, which have no principal
    (IdentityStage, "Subjects, check_tenant, check_address"),
    (ThrottleStage, "ThrottleStage over a rehearsal"),
    (ActingStage, None),  # of operators, who are no principals of a tenant
    (UsageStage, "Explainer.usage"),
    (AuthorizationStage, "admit over a rehearsal"),
    (EntitlementStage, "Explainer.entitlement"),
)


def test_every_stage_is_explained_in_the_order_of_the_gate() -> None:
    """AZ10: who adds a stage decides here what an explanation says of it, and adds it to ``Explainer._judged``."""
    gate = compose(unconnected_services(), AccessLog())
    assert isinstance(gate, Gate)
    _count, *stages = gate._stages
    assert [type(each) for each in stages] == [stage for stage, _ in _EXPLAINED]
