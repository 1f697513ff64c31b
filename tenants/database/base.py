"""The declarative bases: of control tables, and of a tenant's tables."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, FetchedValue, Integer, MetaData, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from tenants.database.names import CONTROL_SCHEMA
from tenants.identifiers import (
    ApiKeyId,
    InvitationId,
    OperatorKeyId,
    PasskeyId,
    RoleId,
    ScimGroupId,
    SignInId,
    SsoDomainId,
    TenantId,
    UserId,
    WorkloadRuleId,
    new_id,
)

APPEND_ONLY = "append_only"  # key in a table's ``info``: its rows may be inserted and read, not changed (AU1)

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_TYPES: dict[Any, Any] = {
    str: Text,
    datetime: DateTime(timezone=True),
    **dict.fromkeys(
        (
            *(UUID, TenantId, UserId, ApiKeyId, OperatorKeyId, RoleId, PasskeyId, ScimGroupId, SignInId),
            *(SsoDomainId, InvitationId, WorkloadRuleId),
        ),
        Uuid,
    ),
    list[str]: ARRAY(Text),
    dict[str, Any]: JSONB,
    list[dict[str, Any]]: JSONB,
}


class ControlModel(DeclarativeBase):
    """Base of the tables in schema ``tenantry``: tenants, credentials, plans and subscriptions."""

    metadata = MetaData(schema=CONTROL_SCHEMA, naming_convention=_NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = _TYPES


class Versioned:
    """A control table whose rows count their changes: a trigger does it, so that no statement can forget."""

    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}  # an UPDATE returns the new version

    version: Mapped[int] = mapped_column(Integer, server_default="1", server_onupdate=FetchedValue())


class TenantTable(DeclarativeBase):
    """Base of every table in a tenant's own schema. The schema is never named: ``search_path`` alone decides it."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = _TYPES


class TenantModel(TenantTable):
    """Base of the tables that the shared CRUD service serves.

    Gives each the columns that the service needs: a UUIDv7 ``id``, ``created_at`` and ``updated_at``, and a ``version``
    that counts writes (ETag and If-Match). A flush of the ORM counts and dates its writes as CRUD does, and raises
    StaleDataError when the row has changed since it was read.
    """

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # Not now(), which is when the transaction began: one that waited for the row's lock would set the time back.
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())
    version: Mapped[int] = mapped_column(Integer, server_default="1", default=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - SQLAlchemy calls it with the class
        return {"version_id_col": cls.version, "eager_defaults": True}
