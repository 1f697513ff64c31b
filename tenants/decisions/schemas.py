"""Requests and responses of the dry run of role changes."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from tenants.identifiers import API_KEY, USER, WORKLOAD_RULE, ApiKeyId, UserId, example_of, pattern_of, read, show
from tenants.members.schemas import MOST_ROLES as MOST_ROLES_OF_A_MEMBER
from tenants.principal import PrincipalKind
from tenants.roles.schemas import Inherits, OwnName, Permissions

MOST_STAGED = 100  # of each kind
MOST_SHOWN = 500
MOST_SCOPES = 200
_PREFIXES = {PrincipalKind.USER: USER, PrincipalKind.API_KEY: API_KEY, PrincipalKind.WORKLOAD: WORKLOAD_RULE}
EXAMPLES = 5  # principals that are named of a group


def _id(prefix: str) -> Callable[[Any], object]:
    def checked(value: object) -> object:
        found = read(prefix, value) if isinstance(value, str) else None
        if found is None:
            raise PydanticCustomError("bad_format", "Must be the id of an object of this type.")
        return found

    return checked


def _schema(prefix: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern_of(prefix), "examples": [example_of(prefix)]}


_PersonId = Annotated[UserId, BeforeValidator(_id(USER)), WithJsonSchema(_schema(USER))]
_KeyId = Annotated[ApiKeyId, BeforeValidator(_id(API_KEY)), WithJsonSchema(_schema(API_KEY))]
_Roles = Annotated[
    list[Annotated[str, Field(max_length=50, examples=["viewer"])]],
    Field(min_length=1, max_length=MOST_ROLES_OF_A_MEMBER, description="All roles that are given by hand."),
]
_Scopes = Annotated[
    list[Annotated[str, Field(max_length=100, examples=["contacts:read"])]],
    Field(max_length=MOST_SCOPES, description="Permissions of the role; null is all of them."),
]


class StagedRole(BaseModel):
    """A role that is created, or takes the place of the one of this name."""

    model_config = ConfigDict(extra="forbid")

    name: OwnName
    permissions: Permissions
    inherits: Inherits = []


class StagedMember(BaseModel):
    """Other roles for a member."""

    model_config = ConfigDict(extra="forbid")

    id: _PersonId
    roles: _Roles


class StagedKey(BaseModel):
    """Another role or other scopes for a key; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    id: _KeyId
    role: Annotated[str, Field(max_length=50, examples=["viewer"])] = ""
    scopes: _Scopes | None = None


class DryRun(BaseModel):
    """Body of ``POST /v1/roles/dry-run``: changes that would be made together."""

    model_config = ConfigDict(extra="forbid")

    roles: Annotated[list[StagedRole], Field(max_length=MOST_STAGED)] = []
    remove: Annotated[
        list[OwnName],
        Field(max_length=MOST_STAGED, description="Names of the tenant's own roles.", examples=[["trial"]]),
    ] = []
    members: Annotated[list[StagedMember], Field(max_length=MOST_STAGED)] = []
    keys: Annotated[list[StagedKey], Field(max_length=MOST_STAGED)] = []
    limit: Annotated[
        int, Field(ge=1, le=MOST_SHOWN, description="How many entries each list of the answer has at most.")
    ] = 100

    @model_validator(mode="after")
    def _each_once(self) -> "DryRun":
        names = [*(each.name for each in self.roles), *self.remove]
        for listed in (map(str.lower, names), (each.id for each in self.members), (each.id for each in self.keys)):
            _check_distinct(listed)
        return self


def _check_distinct(listed: Iterable[object]) -> None:
    known = list(listed)
    if len(set(known)) != len(known):
        raise PydanticCustomError("duplicate", "A role, member or key is named twice.")


class PrincipalResponse(BaseModel):
    """A person or a key of the tenant, or a rule by which it trusts workloads."""

    kind: Literal[PrincipalKind.USER, PrincipalKind.API_KEY, PrincipalKind.WORKLOAD]
    id: Annotated[str, Field(examples=[example_of(USER)])]

    @classmethod
    def of(cls, principal: UUID, kind: PrincipalKind) -> "PrincipalResponse":
        """Convert an id."""
        return cls.model_validate({"kind": kind, "id": show(_PREFIXES[kind], principal)})


class UseResponse(BaseModel):
    """The recorded requests of a principal that needed one permission."""

    principal: PrincipalResponse
    permission: Annotated[str, Field(examples=["contacts:delete"])]
    requests: Annotated[int, Field(description="Within the period.", examples=[120])]
    denied: Annotated[int, Field(description="Those of them that were refused for it.", examples=[0])]
    last_seen: Annotated[datetime, Field(description="Some seconds after the last of them.")]


class RightsResponse(BaseModel):
    """What some principals would lose and gain, whether they have used it or not."""

    loses: Annotated[list[str], Field(examples=[["contacts:delete"]])]
    gains: Annotated[list[str], Field(examples=[[]])]
    principals: Annotated[int, Field(description="How many they are.", examples=[12])]
    examples: Annotated[list[PrincipalResponse], Field(description=f"At most {EXAMPLES} of them.")]


class TotalsResponse(BaseModel):
    """Pairs of a principal and a permission with recorded requests."""

    loses: Annotated[int, Field(examples=[3])]
    gains: Annotated[int, Field(examples=[0])]
    unchanged: Annotated[int, Field(examples=[431])]


class DryRunResponse(BaseModel):
    """What the staged changes would make of the requests of the last seven days. Nothing was changed."""

    since: Annotated[datetime, Field(description="Begin of the period: midnight (UTC), seven days ago.")]
    until: datetime
    principals: Annotated[
        int, Field(description="People, keys and workload rules that were judged; none that has ended.", examples=[42])
    ]
    totals: TotalsResponse
    loses: Annotated[
        list[UseResponse], Field(description="What would be denied and is allowed now, the most used first.")
    ]
    gains: Annotated[
        list[UseResponse], Field(description="What would be allowed and is denied now, the most asked for first.")
    ]
    rights: Annotated[list[RightsResponse], Field(description="The largest groups first.")]
    has_more: Annotated[bool, Field(description="Whether a list has more entries than are shown.", examples=[False])]
    uncounted: Annotated[
        int, Field(description="Requests of the period that could not be counted for a principal.", examples=[0])
    ]
