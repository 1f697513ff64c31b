"""Migration states in responses, for operators."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from migrations.repository import TenantMigrationStatus
from tenants.directory.models import MigrationState
from tenants.identifiers import TENANT, example_of, show

Revisions = Annotated[list[str], Field(description="Current revisions of the schema.", examples=[["0003"]])]
Target = Annotated[
    list[str], Field(description="Revisions that this version of the code migrates to.", examples=[["0003"]])
]
Behind = Annotated[bool, Field(description="Whether `tenantry migrate` would change the schema.", examples=[False])]

Servable = Annotated[
    bool,
    Field(
        description="Whether this version of the code can serve the tenant; otherwise its requests get 503.",
        examples=[True],
    ),
]


class ControlMigrationResponse(BaseModel):
    """The migration state of the control schema."""

    revisions: Revisions
    target: Target
    behind: Behind

    model_config = ConfigDict(from_attributes=True)


class TenantMigrationResponse(BaseModel):
    """The migration state of a tenant's schema. Whether it is served depends on ``revisions``, not on ``state``."""

    id: Annotated[str, Field(description="The tenant's id.", examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    state: MigrationState
    revisions: Revisions
    target: Target
    behind: Behind
    servable: Servable
    attempts: Annotated[int, Field(description="Failed attempts since the last success.", examples=[0])]
    error: Annotated[
        str | None,
        Field(description="SQLSTATE and message of the last failed attempt, and who held the lock.", examples=[None]),
    ]
    changed_at: datetime

    @classmethod
    def of(cls, status: TenantMigrationStatus) -> "TenantMigrationResponse":
        """Convert a status."""
        return cls(
            id=show(TENANT, status.id),
            slug=status.slug,
            state=status.state,
            revisions=list(status.revisions),
            target=list(status.target),
            behind=status.behind,
            servable=status.servable,
            attempts=status.attempts,
            error=status.error,
            changed_at=status.changed_at,
        )
