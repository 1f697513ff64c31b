"""Ids in paths, as endpoints declare them: what cannot be an id of the type does not exist (404)."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tenants.identifiers import (
    API_KEY,
    EVENT,
    INVITATION,
    OPERATOR_KEY,
    PASSKEY,
    ROLE,
    SCIM_GROUP,
    SESSION,
    SSO_DOMAIN,
    TENANT,
    USER,
    WORKLOAD_RULE,
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
    example_of,
    pattern_of,
    read,
)


class PathId:
    """``Annotated[UUID, PathId("deal")]``: the id ``deal_01h455vb…`` of the path as the UUID that it spells."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": pattern_of(self._prefix), "examples": [example_of(self._prefix)]}

    def _read(self, value: object) -> UUID:
        found = read(self._prefix, value) if isinstance(value, str) else None
        if found is None:
            raise ValueError("not an id of this type")
        return found


ApiKeyInPath = Annotated[ApiKeyId, PathId(API_KEY), Path(description="The id of the API key.")]
OperatorKeyInPath = Annotated[OperatorKeyId, PathId(OPERATOR_KEY), Path(description="The id of the operator key.")]
TenantInPath = Annotated[TenantId, PathId(TENANT), Path(description="The id of the tenant.")]
RoleInPath = Annotated[RoleId, PathId(ROLE), Path(description="The id of the role.")]
SsoDomainInPath = Annotated[SsoDomainId, PathId(SSO_DOMAIN), Path(description="The id of the domain.")]
PasskeyInPath = Annotated[PasskeyId, PathId(PASSKEY), Path(description="The id of the passkey.")]
EventInPath = Annotated[UUID, PathId(EVENT), Path(description="The id of the event.")]
UserInPath = Annotated[UserId, PathId(USER), Path(description="The id of the person.")]
SessionInPath = Annotated[SignInId, PathId(SESSION), Path(description="The id of the session.")]
ScimGroupInPath = Annotated[ScimGroupId, PathId(SCIM_GROUP), Path(description="The id of the group.")]
InvitationInPath = Annotated[InvitationId, PathId(INVITATION), Path(description="The id of the invitation.")]
WorkloadRuleInPath = Annotated[WorkloadRuleId, PathId(WORKLOAD_RULE), Path(description="The id of the workload rule.")]
