"""How often a message that anyone can cause goes to one address."""

import hmac
from datetime import timedelta
from hashlib import sha256

from tenants.database.sessions import ControlSession
from tenants.sign_in_limits import repository
from tenants.sign_in_limits.limits import Allowance

MESSAGES = Allowance(attempts=3, interval=timedelta(minutes=5))
_PURPOSE = b"tenantry mail pace 1"
_KEY_BYTES = 16


class MailPace:
    """Counts in the database, so it holds for all workers. Asked by jobs: a caller learns nothing from it (ID10)."""

    def __init__(self, secret: bytes) -> None:
        """``secret`` is the key of the hashes under which addresses are stored."""
        self._key = hmac.digest(secret, _PURPOSE, sha256)

    async def admits(self, session: ControlSession, kind: str, email: str) -> bool:
        """Whether another message of this kind may go to the address now; it is counted in the caller's transaction."""
        key = hmac.digest(self._key, f"{kind}\0{email.lower()}".encode(), sha256)[:_KEY_BYTES]
        await repository.lock_limits(session, key, key)
        state = await repository.read_limits(session, key, key, key)
        if MESSAGES.wait(state.account, state.now) > timedelta(0):
            return False
        await repository.charge(session, (key, MESSAGES.interval))
        return True
