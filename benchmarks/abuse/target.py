"""What a scenario of abuse is run against, and what it reports."""

from dataclasses import dataclass

from benchmarks.deployment import BenchmarkTenant, Deployment
from benchmarks.options import Options
from benchmarks.servers import Server
from billing.plans.schemas import PlanSpec


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of the harm done. Names are the same for every checkout: they are the rows of the table."""

    figure: str  # with its unit
    value: float


@dataclass(frozen=True, slots=True)
class Target:
    """Two fresh workers of one checkout, and the database and Redis that all checkouts share."""

    deployment: Deployment
    server: Server
    checkout: str  # "before" or "after"
    options: Options

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self.server.url

    def add_tenant(self, slug: str, plan: str | PlanSpec) -> BenchmarkTenant:
        """Create a tenant with a schema and an admin key, and its plan if that is given whole.

        Both get names of this checkout, so that no checkout finds what another one left.
        """
        if isinstance(plan, PlanSpec):
            plan = plan.model_copy(update={"code": self.own(plan.code)})
            self.deployment.add_plan(plan)
            plan = plan.code
        return self.deployment.add_tenant(self.own(slug), plan)

    def own(self, name: str) -> str:
        """The name with that of the checkout."""
        return f"{name}-{self.checkout}"
