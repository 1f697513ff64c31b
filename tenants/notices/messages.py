"""Who is notified of which keys, and the message that says so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tenants.identifiers import UserId
from tenants.mail.templates import KeyLine, KeyNotices
from tenants.notices.repository import DueKey

Addresses = Mapping[UserId, str]


@dataclass(frozen=True, slots=True)
class DueKeys:
    """Keys of one tenant that notices are due of. ``there_are_more`` when these are as many as one message lists."""

    expiring: Sequence[DueKey]
    unused: Sequence[DueKey]
    there_are_more: bool

    @property
    def people(self) -> set[UserId]:
        """Those whose keys they are."""
        return {key.person for key in (*self.expiring, *self.unused) if key.person is not None}

    def of(self, person: UserId, reachable: Addresses, admins: Addresses) -> "DueKeys":
        """Those that concern a person: their own keys, and for an admin those without a reachable owner."""

        def concern(key: DueKey) -> bool:
            return key.person == person if key.person in reachable else person in admins

        return DueKeys(
            [key for key in self.expiring if concern(key)],
            [key for key in self.unused if concern(key)],
            self.there_are_more,
        )

    def message(self, product: str, tenant: str) -> KeyNotices | None:
        """The message that lists them; None without any."""
        if not (self.expiring or self.unused):
            return None
        expiring = _lines((key, f"expires {_shown(key.expires_at)}") for key in self.expiring)
        unused = _lines((key, _use_of(key)) for key in self.unused)
        return KeyNotices(product, tenant, expiring, unused, self.there_are_more)


def _lines(keys: Iterable[tuple[DueKey, str]]) -> tuple[KeyLine, ...]:
    return tuple(KeyLine.of(key, note) for key, note in keys)


def _use_of(key: DueKey) -> str:
    if key.last_used_at is None:
        return f"never used since it was created {_shown(key.created_at)}"
    return f"last used {_shown(key.last_used_at)}"


def _shown(when: datetime | None) -> str:
    return "" if when is None else f"{when:%Y-%m-%d %H:%M} UTC"
