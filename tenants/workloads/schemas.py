"""Requests and responses about workload rules."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tenants.api_keys.schemas import Network, Role, Scope
from tenants.identifiers import WORKLOAD_RULE, example_of, show
from tenants.outbound.urls import LONGEST_URL
from tenants.sign_in.access_tokens import LONGEST_WORKLOAD_LIFE
from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.numbers import WHOLE
from tenants.values.shown import SHOWN
from tenants.workloads.models import WorkloadRule
from tenants.workloads.patterns import RESERVED, check_pattern

_ISSUER = "https://token.actions.githubusercontent.com"
_CLAIMS = {"sub": "repo:acme/api:ref:refs/heads/main"}
_SHORTEST_TOKEN = 30  # seconds


def _check_claim(name: str) -> str:
    if name in RESERVED:
        raise BadValue("reserved", "The claim is checked for every token. Leave it out.")
    return name


ClaimName = Annotated[
    str, Field(min_length=1, max_length=100), SHOWN, AfterValidator(with_pydantic_errors(_check_claim))
]
Pattern = Annotated[
    str, Field(min_length=1, max_length=500), SHOWN, AfterValidator(with_pydantic_errors(check_pattern))
]
RuleName = Annotated[str, Field(min_length=1, max_length=100, examples=["deploy from main"]), SHOWN]
Issuer = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_URL, description="URL of the issuer, exactly as its tokens spell it."),
    Field(examples=[_ISSUER]),
]
Audience = Annotated[
    str,
    Field(min_length=1, max_length=500, description="The one audience that tokens must have."),
    Field(examples=["https://api.example.com"]),
    SHOWN,
]
Claims = Annotated[
    dict[ClaimName, Pattern],
    Field(
        min_length=1,
        max_length=10,
        description="Patterns that claims of a token must all match. `*` matches one or more characters between two"
        " of the separators `:` and `/`; at the end of a pattern, for all that follows. One pattern must name whose"
        " workload it is, such as one of `sub`.",
        examples=[_CLAIMS],
    ),
]
TokenSeconds = Annotated[
    int,
    Field(ge=_SHORTEST_TOKEN, le=LONGEST_WORKLOAD_LIFE, description="Lifetime of the tokens that are given."),
    Field(examples=[LONGEST_WORKLOAD_LIFE]),
    WHOLE,
]
Scopes = Annotated[
    list[Scope] | None,
    Field(max_length=100, description="Restricts the workload to these permissions; default: those of its role."),
]
Networks = Annotated[
    list[Network], Field(max_length=50, description="Networks that the workload may call from; empty allows any.")
]
SingleUse = Annotated[
    bool,
    Field(
        description="Whether a token is exchanged once only. Turn it off for issuers that give a workload the same"
        " token again until it expires, such as Kubernetes and the metadata services of clouds.",
        examples=[True],
    ),
]
Enabled = Annotated[bool, Field(examples=[True])]


class CreateWorkloadRule(BaseModel):
    """Body of ``POST /v1/workload-rules``."""

    model_config = ConfigDict(extra="forbid")

    name: RuleName
    issuer: Issuer
    audience: Audience
    claims: Claims
    role: Annotated[Role, Field(max_length=50, description="A role whose permissions you have yourself.")]
    scopes: Scopes = None
    token_seconds: TokenSeconds = LONGEST_WORKLOAD_LIFE
    allowed_cidrs: Networks = []
    single_use: SingleUse = True
    enabled: Enabled = True


class ChangeWorkloadRule(BaseModel):
    """Body of ``PATCH /v1/workload-rules/{id}``; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: RuleName = ""
    issuer: Issuer = ""
    audience: Audience = ""
    claims: Claims = {}
    role: Annotated[Role, Field(max_length=50)] = ""
    scopes: Scopes = None
    token_seconds: TokenSeconds = LONGEST_WORKLOAD_LIFE
    allowed_cidrs: Networks = []
    single_use: SingleUse = True
    enabled: Enabled = True


class WorkloadRuleResponse(BaseModel):
    """A rule that trusts the workloads of an issuer."""

    id: Annotated[str, Field(examples=[example_of(WORKLOAD_RULE)])]
    name: RuleName
    issuer: Issuer
    audience: Audience
    claims: Annotated[dict[str, str], Field(examples=[_CLAIMS])]
    role: Role
    scopes: list[Scope] | None
    token_seconds: TokenSeconds
    allowed_cidrs: list[Annotated[str, Field(examples=["192.0.2.0/24"])]]
    single_use: SingleUse
    enabled: Enabled
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, rule: WorkloadRule) -> "WorkloadRuleResponse":
        """Convert a row."""
        names = cls.model_fields.keys() - {"id"}
        return cls(id=show(WORKLOAD_RULE, rule.id), **{name: getattr(rule, name) for name in names})
