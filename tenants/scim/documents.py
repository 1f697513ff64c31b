"""Documents of SCIM as pydantic models, and the attributes that they declare: for PATCH and for ``/Schemas``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from tenants.errors import FieldError
from tenants.scim.errors import InvalidValue

READ_ONLY = frozenset(
    {"id", "meta", "schemas", "groups"}
)  # in lower case; ignored in a document (RFC 7644 section 3.3)
_BOOLEANS = {"true": True, "false": False}


def _open(schema: dict[str, Any]) -> None:
    schema.pop("additionalProperties", None)


class ScimModel(BaseModel):
    """A document that is read as RFC 7643 section 2.1 says: names match regardless of case, null is no value.

    Attributes that are not declared are ignored, so that a provider's own ones do no harm. Of ``extra="forbid"`` it has
    nothing to refuse then.
    """

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, json_schema_extra=_open)

    @model_validator(mode="before")
    @classmethod
    def _keep_known(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        known = {name: each.name for name, each in attributes_of(cls).items()}
        kept: dict[str, object] = {}
        for name, each in value.items():
            own = known.get(name.lower()) if isinstance(name, str) else None
            if own in kept:
                raise PydanticCustomError("repeated", "An attribute is given twice, in different case.")
            if own is not None and each is not None:
                kept[own] = each
        return kept


@dataclass(frozen=True, slots=True)
class Attribute:
    """A declared attribute; ``parts`` are those of a complex one, by their names in lower case."""

    name: str
    kind: type
    is_list: bool
    info: FieldInfo
    parts: Mapping[str, "Attribute"] = field(default_factory=dict)


@cache
def attributes_of(model: type[BaseModel]) -> Mapping[str, Attribute]:
    """The attributes of a document by their names in lower case."""
    found = [_attribute(info.alias or name, info) for name, info in model.model_fields.items()]
    return {each.name.lower(): each for each in found}


def _attribute(name: str, info: FieldInfo) -> Attribute:
    kind, is_list = _plain(info.annotation), False
    if get_origin(kind) is list:
        kind, is_list = _plain(get_args(kind)[0]), True
    is_complex = isinstance(kind, type) and issubclass(kind, BaseModel)
    return Attribute(name, kind, is_list, info, attributes_of(kind) if is_complex else {})


def _plain(annotation: Any) -> Any:
    """Without ``Annotated`` and ``None``."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(each for each in get_args(annotation) if each is not NoneType)
    return annotation


def _boolean(value: object) -> object:
    return _BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value


# Entra sends "False" for false: Microsoft Learn, "Known issues and resolutions with SCIM 2.0 protocol compliance".
ScimBoolean = Annotated[bool, Strict(), BeforeValidator(_boolean)]

Document = TypeVar("Document", bound=ScimModel)


def checked(model: type[Document], document: Mapping[str, Any]) -> Document:
    """The document after a PATCH as a model. Raises InvalidValue."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidValue(tuple(_fault(each["loc"]) for each in found)) from None


def _fault(location: tuple[int | str, ...]) -> FieldError:
    return FieldError("".join(f"/{each}" for each in location), "invalid", "Missing or invalid.")
