"""What must outlive a start: secrets that are made once, and the demo's keys and passwords, which nobody else keeps."""

import base64
import secrets
from pathlib import Path

from pydantic import BaseModel, Field

from gateway.development.folders import write_secret
from tenants.sign_in.signing_keys import generate_signing_keys

_SECRET_BYTES = 32


def _password() -> str:
    return secrets.token_urlsafe(24)


def _secret() -> str:
    return base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class SavedUser(BaseModel):
    email: str
    password: str
    role: str


class SavedTenant(BaseModel):
    """A demo tenant: its id, and its secrets in clear, since this is a demo."""

    id: str
    keys: dict[str, str]  # by role
    users: list[SavedUser]
    stripe_customer: str = ""
    has_data: bool = False


class SavedStripe(BaseModel):
    """What was made at the stand-in."""

    prices: dict[str, str] = {}  # by plan code
    endpoint: str = ""  # we_…
    webhook_secret: str = ""


class Saved(BaseModel):
    """Written to one file of mode 0600, whole or not at all."""

    owner_password: str = Field(default_factory=_password)
    gateway_password: str = Field(default_factory=_password)
    pepper: str = Field(default_factory=_secret)
    secret_key: str = Field(default_factory=_secret)
    signing_keys: str = Field(default_factory=lambda: generate_signing_keys("dev-1"))
    operator_key: str = ""
    stripe: SavedStripe = Field(default_factory=SavedStripe)
    tenants: dict[str, SavedTenant] = {}  # by slug


def load_saved(path: Path) -> Saved:
    """What is there, or new secrets, written before they are used."""
    if path.exists():
        return Saved.model_validate_json(path.read_bytes())
    saved = Saved()
    store_saved(path, saved)
    return saved


def store_saved(path: Path, saved: Saved) -> None:
    write_secret(path, saved.model_dump_json(indent=2))
