"""Settings: groups by feature, read from the environment in one place."""

from gateway.settings.reading import PREFIX, Unreadable
from gateway.settings.settings import SECRET_FIELDS, Settings
from gateway.settings.values import Mode

__all__ = ["PREFIX", "SECRET_FIELDS", "Mode", "Settings", "Unreadable"]
