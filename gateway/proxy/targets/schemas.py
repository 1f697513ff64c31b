"""The health of an upstream in responses, for operators."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Annotated

from pydantic import BaseModel, Field

from gateway.proxy.targets.target import Breaker, Target, TargetState
from gateway.proxy.targets.upstream import Upstream

ReadyWorkers = Callable[[str], int | None]  # of a shared target, by its URL


class TargetHealth(BaseModel):
    """A target as the worker sees it that has answered."""

    url: Annotated[str, Field(examples=["http://10.0.0.5:8080"])]
    tenant: Annotated[str | None, Field(description="Slug of the tenant whose own target it is.", examples=[None])]
    state: Annotated[
        TargetState,
        Field(
            description="`ready`; `unchecked`: no check has passed yet, so it gets requests only while no target is "
            "ready; `unhealthy`: it fails its checks; `ejected`: it has failed requests; `half_open`: its ejection is "
            "over, and one request decides.",
            examples=["ready"],
        ),
    ]
    weight: Annotated[float, Field(description="Its share in relation to others; less in a slow start.", examples=[1])]
    in_flight: Annotated[int, Field(description="Requests in flight.", examples=[3])]
    requests: Annotated[int, Field(description="Requests that were sent to it.", examples=[1840])]
    failures: Annotated[int, Field(description="Failed requests in a row.", examples=[0])]
    connections: Annotated[int, Field(description="Open connections for requests.", examples=[5])]
    ejected_until: Annotated[datetime | None, Field(description="When its ejection ends.", examples=[None])]
    next_check_at: Annotated[datetime | None, Field(description="When its next active check is due.")]
    ready_workers: Annotated[
        int | None,
        Field(
            description="On how many workers of this host it is `ready`, as they have reported within about a second. "
            "Null for targets of tenants, and while a new target was not reported yet.",
            examples=[4],
        ),
    ]

    @classmethod
    def of(cls, target: Target, weight: float, tenant: str | None, ready_workers: int | None) -> "TargetHealth":
        """Convert a target."""
        return cls(
            url=target.name,
            tenant=tenant,
            state=target.state,
            weight=round(weight, 3),
            in_flight=target.outstanding,
            requests=target.requests,
            failures=target.failures,
            connections=target.pool.size,
            ejected_until=_time(target.ejected_until) if target.breaker is Breaker.OPEN else None,
            next_check_at=_time(target.next_check),
            ready_workers=ready_workers,
        )


class RetryBudgetHealth(BaseModel):
    """Since the start of the worker."""

    requests: Annotated[int, Field(description="Requests, retries not included.", examples=[9200])]
    retries: Annotated[int, Field(examples=[31])]
    denied: Annotated[int, Field(description="Retries that the budget did not allow.", examples=[0])]


class UpstreamHealth(BaseModel):
    """An upstream as one worker sees it. Workers check and judge targets by themselves."""

    name: Annotated[str, Field(examples=["echo"])]
    worker: Annotated[int, Field(description="Process id of the worker that has answered.", examples=[4711])]
    workers: Annotated[int | None, Field(description="Workers of this host that are alive.", examples=[4])]
    retry_budget: RetryBudgetHealth
    targets: list[TargetHealth]

    @classmethod
    def of(cls, upstream: Upstream, worker: int, workers: int | None, ready: ReadyWorkers) -> "UpstreamHealth":
        """Convert an upstream."""
        budget = upstream.budget
        groups = ((None, upstream.shared), *upstream.by_tenant.items())
        return cls(
            name=upstream.name,
            worker=worker,
            workers=workers,
            retry_budget=RetryBudgetHealth(requests=budget.requests, retries=budget.retries, denied=budget.denied),
            targets=[
                TargetHealth.of(target, group.weight(target), tenant, ready(target.name) if tenant is None else None)
                for tenant, group in groups
                for target in group.targets
            ],
        )


def _time(at: float | None) -> datetime | None:
    """Of a time of the monotonic clock."""
    return None if at is None else datetime.now(UTC) + timedelta(seconds=at - monotonic())
