"""The messages that the product sends. Each is a frozen dataclass: its fields are what its templates may use.

A template is two files: ``<name>.txt``, whose first line is the subject, and ``<name>.html``, where every value is
escaped. A name that a template uses and its dataclass lacks is an error (``StrictUndefined``).
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from tenants.mail.port import Content

_SUBJECT = "Subject: "
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Template:
    """A message before it is rendered."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True)
class PasswordReset(Template):
    """The link with which a person sets a new password."""

    name: ClassVar[str] = "password_reset"

    product: str  # as people know the SaaS
    link: str
    valid_minutes: int


@dataclass(frozen=True, slots=True)
class PasswordChanged(Template):
    """Tells a person that their password was changed."""

    name: ClassVar[str] = "password_changed"

    product: str


@dataclass(frozen=True, slots=True)
class ConfirmSignUp(Template):
    """The link that makes the account and the tenant of a sign-up.

    Of what was typed it shows the slug alone: anyone can sign up with another person's address, and must not be able to
    send them a text.
    """

    name: ClassVar[str] = "sign_up"

    product: str
    slug: str
    link: str
    valid_minutes: int


@dataclass(frozen=True, slots=True)
class Invited(Template):
    """The link with which a person becomes a member of a tenant."""

    name: ClassVar[str] = "invitation"

    product: str
    tenant: str
    link: str
    valid_minutes: int


@dataclass(frozen=True, slots=True)
class AlreadyRegistered(Template):
    """In place of ``ConfirmSignUp``, to an address that has an account."""

    name: ClassVar[str] = "already_registered"

    product: str


@dataclass(frozen=True, slots=True)
class SecondFactorChanged(Template):
    """Tells a person that their second factors were changed."""

    name: ClassVar[str] = "second_factor_changed"

    product: str  # as people know the SaaS
    change: str  # what has happened, as a sentence


class ShownKey(Protocol):
    """What identifies a key to people."""

    @property
    def name(self) -> str: ...

    @property
    def prefix(self) -> str: ...

    @property
    def last4(self) -> str: ...


@dataclass(frozen=True, slots=True)
class KeyLine:
    """An API key in a message."""

    name: str
    key: str  # the beginning and the end of its secret
    note: str  # what is to be said of it

    @classmethod
    def of(cls, key: ShownKey, note: str) -> "KeyLine":
        """The line of this key."""
        return cls(key.name, f"{key.prefix}…{key.last4}", note)


@dataclass(frozen=True, slots=True)
class KeyNotices(Template):
    """Notifies a person of API keys that expire soon, or are not used."""

    name: ClassVar[str] = "key_notices"

    product: str  # as people know the SaaS
    tenant: str
    expiring: tuple[KeyLine, ...]
    unused: tuple[KeyLine, ...]
    there_are_more: bool  # than the message lists


@dataclass(frozen=True, slots=True)
class KeysLeaked(Template):
    """Notifies owners and admins of API keys that were found in public."""

    name: ClassVar[str] = "keys_leaked"

    product: str
    tenant: str
    keys: tuple[KeyLine, ...]
    grace_hours: int  # until the keys expire; 0 when they are revoked


def render(template: Template) -> Content:
    """The message in text and HTML. Raises jinja2.UndefinedError for a template that asks for more than it gets."""
    values = {each.name: getattr(template, each.name) for each in fields(template)}
    head, _, text = _environment.get_template(f"{template.name}.txt").render(values).partition("\n\n")
    subject = " ".join(head.removeprefix(_SUBJECT).split())  # one line, whatever the values hold
    return Content(subject, text, _environment.get_template(f"{template.name}.html").render(values))
