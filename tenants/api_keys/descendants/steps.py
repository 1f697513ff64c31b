"""Ends keys in as many transactions as their number needs.

Ending works whatever the number of keys: making many keys must not keep anyone in. Each transaction ends as many
as one should, the tenant serialised; what was committed stays ended after a failure, and the same again ends the rest.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from tenants.database.sessions import ControlSession
from tenants.directory import repository as directory
from tenants.identifiers import TenantId

Transactions = Callable[[], AbstractAsyncContextManager[ControlSession]]  # opens one, committed at the end of the block


async def in_steps(
    transactions: Transactions, tenant: TenantId, step: Callable[[ControlSession], Awaitable[bool]]
) -> None:
    """Run ``step``, each time in a transaction that serialises the tenant, until it says that nothing is left."""
    is_left = True
    while is_left:
        async with transactions() as session:
            await directory.serialise(session, tenant)  # no key is made meanwhile, and such changes wait for each other
            is_left = await step(session)
