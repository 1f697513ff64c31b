"""Declares a table as a resource of the API. Validated when its module is imported.

class Contact(TenantModel):
    __tablename__ = "contacts"
    __table_args__ = (Index(None, "created_at", "id"), Index(None, "name", "id"))
    name: Mapped[str] = mapped_column(String(200))

contacts = Resource(
    model=Contact, name="contacts", singular="contact",
    writable=("name",), filterable=("name", "created_at"), sortable=("created_at", "name"), searchable=("name",),
)
"""

from dataclasses import dataclass

from tenants.resources.checks import faults_of
from tenants.resources.declaration import Declaration
from tenants.resources.errors import DeclarationError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resource(Declaration):
    """A declared resource. Raises DeclarationError with all errors of the declaration.

    ``name`` is the path (``/v1/<name>``) and the object of its permissions; ``singular`` is the prefix of its ids. A
    field is required at creation when it is writable, not nullable and without a default, or listed in ``required``.
    ``hidden`` columns are in no response. ``rules`` restrict a field's values and describe it in the API document.
    ``costs`` maps ``list``, ``read``, ``create``, ``update`` and ``delete`` to the number of requests that one counts
    as, in rate limits and usage; the default is 1. ``before_change`` and ``after_change`` are async functions of a
    ``TenantSession`` and a ``Change``, run in the transaction of each creation, update and deletion; a TenantryError
    that one raises refuses the change.
    """

    def __post_init__(self) -> None:
        faults = tuple(faults_of(self))
        if faults:
            raise DeclarationError(f"Resource {self.name!r}", *faults)
