"""What the SaaS's own staff see of the migrations."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from migrations.models import State
from migrations.repository import TenantStanding
from tenants.identifiers import TENANT, show

Revisions = Annotated[list[str], Field(description="The version table of a schema holds these.")]
Wanted = Annotated[list[str], Field(description="What it holds when all that this version of the code has is applied.")]
Behind = Annotated[bool, Field(description="True when `tenantry migrate` would bring it forward.")]


class ControlMigrationShown(BaseModel):
    """How far the control schema is."""

    revisions: Revisions
    wanted: Wanted
    behind: Behind

    model_config = ConfigDict(from_attributes=True)


class TenantMigrationShown(BaseModel):
    """How far the schema of a tenant is. One that ``failed`` answers 503 alone, until a run brings it forward."""

    id: Annotated[str, Field(description="The tenant's id.")]
    slug: str
    state: State
    revisions: Revisions
    wanted: Wanted
    behind: Behind
    attempts: Annotated[int, Field(description="Those that failed, since one last worked.")]
    error: Annotated[str | None, Field(description="SQLSTATE and what PostgreSQL said of the last one that failed.")]
    changed_at: datetime

    @classmethod
    def of(cls, standing: TenantStanding) -> "TenantMigrationShown":
        """The tenant's standing with its id as people see it."""
        return cls(
            id=show(TENANT, standing.id),
            slug=standing.slug,
            state=standing.state,
            revisions=list(standing.revisions),
            wanted=list(standing.wanted),
            behind=standing.behind,
            attempts=standing.attempts,
            error=standing.error,
            changed_at=standing.changed_at,
        )
