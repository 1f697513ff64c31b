"""Purges of the workers' response caches: what is to be forgotten, told to every worker with the commit.

Nothing is stored but the row of the operators' log. A worker that misses the notification forgets everything when it
listens again, and uses nothing that it has stored before (docs/decisions/0040, docs/decisions/0056).
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from tenants.audit import operators
from tenants.audit.origin import Origin
from tenants.database.listener import ChangeKind
from tenants.database.notifications import notify
from tenants.database.sessions import ControlSession
from tenants.routes.schemas import Name, Part

# A notification has at most 8,000 bytes, and a character of UTF-8 four.
_Path = Annotated[str, StringConstraints(pattern=r"^/[^\u0000-\u001f\u007f]*$", max_length=1_000)]


class PurgeSpec(Part):
    """What is forgotten: all that has every member that is given. Without members it is everything."""

    route: Name | None = None
    tenant: UUID | None = None
    path: Annotated[_Path | None, Field(examples=["/echo/products"])] = None  # decoded, as callers send it
    path_prefix: _Path | None = None  # the path and all below it


async def purge(session: ControlSession, spec: PurgeSpec, *, origin: Origin) -> None:
    """Every worker forgets this when the transaction commits."""
    await notify(session, ChangeKind.CACHE, spec.model_dump_json(exclude_none=True))
    await operators.record(
        session, origin, "cache.purged", spec.route or "*", after=spec.model_dump(mode="json", exclude_none=True)
    )
