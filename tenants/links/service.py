"""One-time links (ID12): issue, check, take and end them."""

from datetime import timedelta
from enum import StrEnum

from tenants.database.sessions import ControlSession, Database
from tenants.identifiers import TenantId, UserId
from tenants.links import repository
from tenants.links.errors import LinkInvalid
from tenants.links.repository import Link
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, generate, kind_of

LONGEST_LIFE = timedelta(hours=1)
_KEPT = timedelta(days=30)  # after a link expired: until then it can be exchanged for a new one to the same address


class LinkPurpose(StrEnum):
    """What a link is for. It is refused for everything else."""

    INVITATION = "invitation"
    EMAIL_VERIFICATION = "email_verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a purpose, not a secret


class Links:
    """Every call runs in the caller's transaction: a link that is taken is used if that transaction commits.

    A link is bound to its purpose, the address that it is sent to, and, where they are given, a person and a tenant.
    A person's link is invalid once the person has another address.
    """

    def __init__(self, hasher: SecretHasher, pages: str) -> None:
        """``pages`` is the URL below which the pages are that links open, without a slash at its end."""
        self._hasher = hasher
        self._pages = pages

    async def issue(
        self,
        session: ControlSession,
        purpose: LinkPurpose,
        *,
        email: str,
        user_id: UserId | None = None,
        tenant_id: TenantId | None = None,
        life: timedelta = LONGEST_LIFE,
    ) -> str:
        """Issue a link and return its secret, which is stored nowhere. Ends the one before it.

        The one before has the same purpose, address and tenant. Raises ValueError for a life of more than an hour.
        """
        if not timedelta(0) < life <= LONGEST_LIFE:
            raise ValueError("a one-time link is valid for at most an hour")
        secret = generate(SecretKind.LINK)
        digest = self._hasher.digest(secret).value
        values = {"purpose": purpose.value, "digest": digest, "email": email, "user_id": user_id}
        await repository.replace(session, {**values, "tenant_id": tenant_id}, life)
        return secret

    async def check(
        self, session: ControlSession, purpose: LinkPurpose, secret: str, *, even_expired: bool = False
    ) -> Link:
        """What the link is bound to; it stays valid. Raises LinkInvalid."""
        digests = self._digests(secret)
        return self._matching(secret, await repository.find(session, purpose.value, digests, with_expired=even_expired))

    async def take(
        self, session: ControlSession, purpose: LinkPurpose, secret: str, *, even_expired: bool = False
    ) -> Link:
        """Use the link up and return what it is bound to. Raises LinkInvalid for every link that cannot be used.

        ``even_expired`` is for exchanging it for another link to the same address, and for nothing else.
        """
        digests = self._digests(secret)
        return self._matching(secret, await repository.take(session, purpose.value, digests, with_expired=even_expired))

    async def end(
        self, session: ControlSession, purpose: LinkPurpose, *, email: str, tenant_id: TenantId | None = None
    ) -> None:
        """End the link of this purpose, address and tenant, if there is one."""
        await repository.end(session, purpose.value, email, tenant_id)

    def url(self, purpose: LinkPurpose, secret: str) -> str:
        """The address to send. The secret is in its fragment, which no proxy, log or Referer field receives."""
        return f"{self._pages}/{purpose.value.replace('_', '-')}#token={secret}"

    def _digests(self, secret: str) -> list[bytes]:
        if kind_of(secret) is not SecretKind.LINK:  # a wrong checksum costs no look-up (ID1)
            raise LinkInvalid
        return [each.value for each in self._hasher.candidates(secret)]

    def _matching(self, secret: str, found: tuple[Link, bytes] | None) -> Link:
        if found is None or not self._hasher.matches(secret, found[1]):
            raise LinkInvalid
        return found[0]


async def forget_old_links(database: Database) -> None:
    """Delete links that expired long ago."""
    async with database.control() as session:
        await repository.delete_expired(session, _KEPT)
