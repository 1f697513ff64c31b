"""What an operator key is created from."""

from pydantic import BaseModel, ConfigDict

from tenants.api_keys.schemas import Name
from tenants.values.timestamps import Timestamp


class CreateOperatorKey(BaseModel):
    """A name that says whose key it is, and when it expires, if it does."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    expires_at: Timestamp | None = None
