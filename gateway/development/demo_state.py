"""What is kept between starts: secrets that are generated once, and the keys and passwords of the demo's tenants."""

import base64
import secrets
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from gateway.development.folders import write_secret
from gateway.development.servers import SetUpFailed
from tenants.sign_in.signing_keys import generate_signing_keys

_SECRET_BYTES = 32


def _password() -> str:
    return secrets.token_urlsafe(24)


def _secret() -> str:
    return base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class DemoUser(BaseModel):
    email: str
    password: str
    role: str


class TenantState(BaseModel):
    """A demo tenant: its id, and its keys and passwords in clear text, because they are printed."""

    id: str
    keys: dict[str, str]  # by role
    users: list[DemoUser]
    stripe_customer: str = ""
    has_data: bool = False


class StripeState(BaseModel):
    """The ids of the objects at the stand-in."""

    prices: dict[str, str] = {}  # by plan code
    endpoint: str = ""  # we_…
    webhook_secret: str = ""


class DemoState(BaseModel):
    """Written atomically to one file of mode 0600."""

    owner_password: str = Field(default_factory=_password)
    gateway_password: str = Field(default_factory=_password)
    pepper: str = Field(default_factory=_secret)
    secret_key: str = Field(default_factory=_secret)
    signing_keys: str = Field(default_factory=lambda: generate_signing_keys("dev-1"))
    operator_key: str = ""
    compared: str = ""  # fingerprint of the project's models and revisions (project.py)
    stripe: StripeState = Field(default_factory=StripeState)
    tenants: dict[str, TenantState] = {}  # by slug


def load_state(path: Path) -> DemoState:
    """The saved state, or new secrets, which are written before they are used. Raises SetUpFailed."""
    if path.exists():
        try:
            return DemoState.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise SetUpFailed(f"{path} is damaged. Start with --reset, which deletes the demo's data.") from error
    state = DemoState()
    store_state(path, state)
    return state


def store_state(path: Path, state: DemoState) -> None:
    write_secret(path, state.model_dump_json(indent=2))
