"""Requests and responses of SCIM: the documents of RFC 7643, and messages of RFC 7644."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tenants.identifiers import SCIM_GROUP, USER, example_of
from tenants.scim.documents import ScimBoolean, ScimModel
from tenants.scim.paths import MOST_CHARACTERS
from tenants.values.shown import SHOWN

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
LIST_MESSAGE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH_MESSAGE = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

MOST_OPERATIONS = 1_000  # of one PATCH
MOST_MEMBERS = 5_000  # of one group, and of a page of groups: as many as are read and written without a stall (LD1)
_MOST_VALUES = 20  # of a multi-valued attribute

_EMAIL = "ada@example.com"


def _text(example: str, description: str | None = None) -> Any:
    return Field(max_length=1_000, examples=[example], description=description)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _schemas(urn: str) -> Any:
    return Field(default_factory=lambda: [urn], max_length=10, examples=[[urn]])


def _several(description: str | None = None) -> Any:
    return Field(default_factory=list, max_length=_MOST_VALUES, description=description)


Urns = list[Annotated[str, Field(max_length=200)]]
Text = str | None
Type = Annotated[Text, _text("work", "Such as work or home.")]
Primary = Annotated[ScimBoolean | None, Field(description="Whether it is the main one.", examples=[True])]


class ScimName(ScimModel):
    """The parts of a person's name."""

    formatted: Annotated[Text, _text("Ada Lovelace")] = None
    family_name: Annotated[Text, _text("Lovelace")] = None
    given_name: Annotated[Text, _text("Ada")] = None
    middle_name: Annotated[Text, _text("King")] = None
    honorific_prefix: Annotated[Text, _text("Countess")] = None
    honorific_suffix: Annotated[Text, _text("FRS")] = None


class ScimEmail(ScimModel):
    """An e-mail address."""

    value: Annotated[Text, _text(_EMAIL)] = None
    display: Annotated[Text, _text(_EMAIL)] = None
    type: Type = None
    primary: Primary = None


class ScimPhoneNumber(ScimModel):
    """A telephone number."""

    value: Annotated[Text, _text("+44 20 7946 0000")] = None
    display: Annotated[Text, _text("Desk")] = None
    type: Type = None
    primary: Primary = None


class ScimAddress(ScimModel):
    """A postal address."""

    formatted: Annotated[Text, _text("12 St James's Square, London")] = None
    street_address: Annotated[Text, _text("12 St James's Square")] = None
    locality: Annotated[Text, _text("London")] = None
    region: Annotated[Text, _text("England")] = None
    postal_code: Annotated[Text, _text("SW1Y 4JH")] = None
    country: Annotated[Text, _text("GB")] = None
    type: Type = None
    primary: Primary = None


class ScimManager(ScimModel):
    """The person's manager."""

    value: Annotated[Text, _text("26118915-6090-4610-87e4-49d8ca9f808d", "The id of the manager.")] = None
    display_name: Annotated[Text, _text("Charles Babbage")] = None


class ScimEnterprise(ScimModel):
    """The enterprise extension (RFC 7643 section 4.3)."""

    employee_number: Annotated[Text, _text("701984")] = None
    cost_center: Annotated[Text, _text("4130")] = None
    organization: Annotated[Text, _text("Analytical Engines")] = None
    division: Annotated[Text, _text("Computing")] = None
    department: Annotated[Text, _text("Research")] = None
    manager: ScimManager | None = None


class ScimUserRequest(ScimModel):
    """A user, as the identity provider sends it. Attributes that are not listed here are ignored."""

    schemas: Annotated[Urns, _schemas(USER_SCHEMA)]
    user_name: Annotated[
        str,
        Field(min_length=1, max_length=320, description="Unique in the tenant regardless of case.", examples=[_EMAIL]),
        SHOWN,
    ]
    external_id: Annotated[
        Text, Field(max_length=320, description="The provider's own id.", examples=["00ujl29u0le5T6Aj10h7"]), SHOWN
    ] = None
    active: Annotated[
        ScimBoolean | None,
        Field(description="False disables the person in this tenant and ends their sessions there.", examples=[True]),
    ] = None
    name: ScimName | None = None
    display_name: Annotated[Text, _text("Ada Lovelace")] = None
    nick_name: Annotated[Text, _text("Ada")] = None
    profile_url: Annotated[Text, _text("https://example.com/ada")] = None
    title: Annotated[Text, _text("Analyst")] = None
    user_type: Annotated[Text, _text("Employee")] = None
    preferred_language: Annotated[Text, _text("en-GB")] = None
    locale: Annotated[Text, _text("en-GB")] = None
    timezone: Annotated[Text, _text("Europe/London")] = None
    emails: Annotated[list[ScimEmail], _several("The primary one finds or creates the account of a new user.")]
    phone_numbers: Annotated[list[ScimPhoneNumber], _several()]
    addresses: Annotated[list[ScimAddress], _several()]
    enterprise: Annotated[ScimEnterprise | None, Field(alias=ENTERPRISE_SCHEMA)] = None


class ScimMember(ScimModel):
    """A member of a group."""

    value: Annotated[str, Field(max_length=100, description="The id of a user.", examples=[example_of(USER)])]
    display: Annotated[Text, _text(_EMAIL, "Their userName; ignored in a request.")] = None
    type: Annotated[Text, _text("User")] = None


class ScimGroupRequest(ScimModel):
    """A group, as the identity provider sends it. Attributes that are not listed here are ignored."""

    schemas: Annotated[Urns, _schemas(GROUP_SCHEMA)]
    display_name: Annotated[
        str,
        Field(min_length=1, max_length=320, description="Unique in the tenant regardless of case.", examples=["Staff"]),
        SHOWN,
    ]
    external_id: Annotated[
        Text, Field(max_length=320, description="The provider's own id.", examples=["00gjitX9HqABSoqTB0g3"]), SHOWN
    ] = None
    members: Annotated[
        list[ScimMember] | None, Field(description="Users of the tenant. A PUT without them leaves them as they are.")
    ] = None


class ScimOperation(ScimModel):
    """One change of a PATCH (RFC 7644 section 3.5.2). ``op`` is read regardless of case."""

    op: Annotated[Literal["add", "remove", "replace"], BeforeValidator(_lower), Field(examples=["replace"])]
    path: Annotated[
        Text,
        Field(
            max_length=MOST_CHARACTERS,
            description="The attribute to change; without it, `value` is an object of attributes.",
            examples=["active"],
        ),
    ] = None
    value: Annotated[Any, Field(description="The new value, or the values to add or remove.", examples=[False])] = None


class ScimPatch(ScimModel):
    """Changes of one resource, which are all made or none."""

    schemas: Annotated[Urns, _schemas(PATCH_MESSAGE)]
    operations: Annotated[list[ScimOperation], Field(alias="Operations", min_length=1, max_length=MOST_OPERATIONS)]


class ScimMeta(BaseModel):
    """About a resource."""

    model_config = ScimModel.model_config

    resource_type: Annotated[str, Field(examples=["User"])]
    created: datetime
    last_modified: datetime
    location: Annotated[str, Field(examples=[f"https://api.example.com/scim/v2/Users/{example_of(USER)}"])]
    version: Annotated[str, Field(description="The ETag.", examples=['"3-5f0c1d9a7e2b486330"'])]


class ScimUser(ScimUserRequest):
    """A user of the tenant that was provisioned with SCIM."""

    id: Annotated[str, Field(examples=[example_of(USER)])]
    meta: ScimMeta


class ScimGroup(ScimGroupRequest):
    """A group of the tenant that was provisioned with SCIM."""

    id: Annotated[str, Field(examples=[example_of(SCIM_GROUP)])]
    meta: ScimMeta


class _List(BaseModel):
    """One page of resources (RFC 7644 section 3.4.2)."""

    model_config = ConfigDict(alias_generator=ScimModel.model_config.get("alias_generator"))

    schemas: Annotated[list[str], Field(examples=[[LIST_MESSAGE]])]
    total_results: Annotated[int, Field(description="Resources that match, on all pages.", examples=[1])]
    start_index: Annotated[int, Field(description="Position of the first resource of the page.", examples=[1])]
    items_per_page: Annotated[int, Field(description="Resources on this page.", examples=[1])]


class ScimUserList(_List):
    """One page of users."""

    resources: Annotated[list[ScimUser], Field(alias="Resources")]


class ScimGroupList(_List):
    """One page of groups."""

    resources: Annotated[list[ScimGroup], Field(alias="Resources")]
