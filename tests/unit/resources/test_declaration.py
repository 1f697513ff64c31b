"""An invalid declaration fails when its module is imported, and says what to write instead."""

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import mapped_column

from tenants.database.base import TenantModel
from tenants.resources.errors import DeclarationError
from tenants.resources.fields import Rule
from tenants.resources.resource import Resource

_numbers = count()


def _model(*arguments: Any, **columns: Any) -> type[TenantModel]:
    """A model with its own metadata, the index for the default sort, a name, and the test's additions."""
    attributes = {
        "metadata": MetaData(),
        "__tablename__": "plain",
        "__table_args__": (Index(None, "created_at", "id"), *arguments),
        "name": mapped_column(String(50), nullable=False),
    }
    return type(f"Plain{next(_numbers)}", (TenantModel,), attributes | columns)  # no two classes have the same name


def _declare(model: type[TenantModel] | None = None, **changes: Any) -> Resource:
    given: dict[str, Any] = {"model": model or _model(), "name": "plain", "singular": "plain", "writable": ("name",)}
    return Resource(**(given | changes))


def test_a_plain_declaration_is_served() -> None:
    """The declaration that the tests below modify is valid."""
    assert [field.name for field in _declare().fields] == ["id", "name", "created_at", "updated_at"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "Plain"}, "name must be lower-case"),
        ({"name": "plain-ones"}, "name must be lower-case"),
        ({"name": "members"}, "'members' is reserved"),
        ({"singular": "plain1"}, "singular must be lower-case"),
        ({"singular": "key"}, "reserved for Tenantry's own ids"),
        ({"writable": ("name", "nmae")}, "writable names 'nmae', which is not a column"),
        ({"filterable": ("colour",)}, "filterable names 'colour', which is not a column"),
        ({"sortable": ("created_at", "colour")}, "sortable names 'colour', which is not a column"),
        ({"searchable": ("colour",)}, "searchable names 'colour', which is not a column"),
        ({"costs": {"search": 2}}, "costs names 'search', which is not a verb"),
        ({"costs": {"list": 0}}, "costs has 0 for 'list'; write an integer from 1 to 1023"),
        ({"costs": {"list": 1024}}, "costs has 1024 for 'list'"),
        ({"costs": {"list": 2.0}}, "costs has 2.0 for 'list'"),
        ({"costs": {"list": True}}, "costs has True for 'list'"),
        ({"costs": 5}, "costs must map verbs to costs"),
        ({"rules": {"colour": Rule()}}, "rules names 'colour', which is not a column"),
        ({"writable": ("name", "name")}, "writable names 'name' twice"),
        ({"writable": ("name", "id")}, "writable names 'id', which Tenantry sets itself"),
        ({"writable": ("name", "version")}, "writable names 'version', which Tenantry sets itself"),
        ({"filterable": ("version",)}, "filterable names 'version', which is in no response"),
        ({"hidden": ("id",)}, "hidden names 'id', which every response contains"),
        ({"required": ("created_at",)}, "required names 'created_at', which is not writable"),
        ({"default_sort": "name"}, "default_sort 'name' is not among sortable"),
        ({"sortable": ("created_at", "name")}, "add Index(None, 'name', \"id\")"),
        ({"searchable": ("created_at",)}, "'created_at' is searchable, but not text"),
        ({"writable": ()}, "'name' is neither writable nor nullable and has no default"),
        ({"rules": {"name": Rule(minimum=1)}}, "'name' has a rule for numbers, but is not a number"),
        ({"rules": {"created_at": Rule(pattern="x")}}, "'created_at' has a rule for text, but is not text"),
        ({"model": object}, "model must be a mapped subclass of TenantModel"),
        ({"model": TenantModel}, "model must be a mapped subclass of TenantModel"),
    ],
)
def test_an_invalid_declaration_says_what_is_wrong(changes: dict[str, Any], fault: str) -> None:
    """IS6: listed fields are known, typed and indexed before the first request."""
    with pytest.raises(DeclarationError) as raised:
        _declare(**changes)
    assert fault in str(raised.value)


_COLUMNS: list[tuple[Callable[[], Any], str]] = [
    (lambda: mapped_column(JSON, nullable=True), "has the type JSON()"),
    (lambda: mapped_column(Float, nullable=True), "has the type Float()"),
    (lambda: mapped_column(Uuid, nullable=True), "has the type Uuid()"),
    (lambda: mapped_column(Numeric, nullable=True), "write Numeric(precision, scale)"),
    (lambda: mapped_column(DateTime, nullable=True), "write DateTime(timezone=True)"),
    (lambda: mapped_column(Enum("a", name="x"), nullable=True), "write Enum(..., native_enum=False)"),
    (lambda: mapped_column(Date, nullable=True, default=text("now()")), "write server_default"),
    (lambda: mapped_column(Integer, nullable=True, onupdate=1), "has onupdate"),
    (lambda: mapped_column(Enum("a", native_enum=False), default="b"), "not one of its choices"),
    (lambda: mapped_column(ForeignKey("plain.id"), nullable=True), "is a foreign key without an index"),
    (lambda: mapped_column(ForeignKey("plain.name"), nullable=True), "must refer to another resource's id"),
    (lambda: mapped_column(ForeignKey("plain.id", ondelete="SET NULL"), nullable=True), 'or write "CASCADE"'),
    (lambda: mapped_column(ForeignKey("plain.id", deferrable=True), nullable=True), "deferrable foreign key"),
]


@pytest.mark.parametrize(("column", "fault"), _COLUMNS)
def test_a_column_that_cannot_be_validated_is_rejected(column: Callable[[], Any], fault: str) -> None:
    """DA1: every value of a served column can be validated before PostgreSQL sees it."""
    with pytest.raises(DeclarationError) as raised:
        _declare(_model(extra=column()))
    assert fault in str(raised.value)
    assert "column 'extra'" in str(raised.value)


@pytest.mark.parametrize("column", [lambda: mapped_column(Text), lambda: mapped_column(String(501))])
def test_text_too_long_for_an_index_cannot_be_sorted(column: Callable[[], Any]) -> None:
    """An index entry of more than 2,704 bytes would be a server error at the first long value."""
    model = _model(Index(None, "extra", "id"), extra=column())
    with pytest.raises(DeclarationError, match="sortable text without a small bound"):
        _declare(model, writable=("name", "extra"), sortable=("created_at", "extra"))


@pytest.mark.parametrize(
    "index",
    [
        Index(None, "id", "name"),
        Index(None, "name"),
        Index(None, text("lower(name)"), "name", "id"),
        Index("partial", "name", "id", postgresql_where=text("name <> ''")),
        Index("hashed", "name", "id", postgresql_using="hash"),
    ],
)
def test_an_unsuitable_index_does_not_count(index: Index) -> None:
    """DA3: the last page costs as much as the first."""
    with pytest.raises(DeclarationError, match="'name' is sortable without an index"):
        _declare(_model(index), sortable=("created_at", "name"))


def test_a_deferrable_constraint_is_rejected() -> None:
    """It would fail at COMMIT, after the response was built."""
    with pytest.raises(DeclarationError, match="is deferrable"):
        _declare(_model(UniqueConstraint("name", deferrable=True)))


def test_a_second_primary_key_column_is_rejected() -> None:
    """The id alone identifies a row."""
    with pytest.raises(DeclarationError, match="TenantModel's id alone"):
        _declare(_model(extra=mapped_column(Integer, primary_key=True)))


def test_a_table_with_a_schema_is_rejected() -> None:
    """IS5: search_path alone selects the tenant's table."""

    class Elsewhere(TenantModel):
        __tablename__ = "elsewhere"
        __table_args__ = ({"schema": "public"},)
        metadata = MetaData()

    with pytest.raises(DeclarationError, match="without a schema"):
        _declare(Elsewhere, writable=())


def test_all_errors_are_reported_at_once() -> None:
    """A team can fix its module in one step."""
    with pytest.raises(DeclarationError) as raised:
        _declare(singular="key", default_sort="name", required=("created_at",))
    assert len(raised.value.faults) == 3


def test_fields_have_the_bounds_of_their_columns() -> None:
    """Models and filters check the column's bounds, narrowed by the rule."""
    model = _model(
        price=mapped_column(Numeric(5, 2), nullable=True), seen=mapped_column(DateTime(timezone=True), nullable=True)
    )
    fields = {each.name: each for each in _declare(model, rules={"price": Rule(minimum=0)}).fields}
    assert (fields["price"].minimum, fields["price"].maximum) == (Decimal("-999.99"), Decimal("999.99"))
    assert fields["price"].bounds == (0, Decimal("999.99"))
    assert fields["name"].max_length == 50
    assert not fields["name"].nullable
