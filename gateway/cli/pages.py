"""Long lists for commands: page after page, each in a transaction of its own, so that none is held for all of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database

_PAGE = 500  # rows


class _Row(Protocol):
    @property
    def id(self) -> UUID: ...


_Listed = TypeVar("_Listed", bound=_Row)


async def all_pages(
    database: Database, page: Callable[[ControlSession, Keyset], Awaitable[Sequence[_Listed]]]
) -> list[_Listed]:
    """Every row that ``page`` gives, in its order."""
    found: list[_Listed] = []
    after: UUID | None = None
    while True:
        async with database.control() as session:
            rows = await page(session, Keyset(_PAGE, after))
        found.extend(rows)
        if len(rows) < _PAGE:
            return found
        after = rows[-1].id
