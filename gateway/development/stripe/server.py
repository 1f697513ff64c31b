"""The stand-in as a process, started and stopped like PostgreSQL and Redis (``servers.py``)."""

from dataclasses import dataclass
from pathlib import Path

from gateway.development.module_server import ModuleServer


@dataclass(frozen=True, slots=True)
class StandInOptions:
    """Options of the stand-in."""

    api_key: str
    retry_first: float = 1.0  # seconds
    retry_longest: float = 300.0  # seconds


class StripeStandIn(ModuleServer):
    """Keeps its state in ``folder`` and its port over restarts, so that base URLs stay valid."""

    def __init__(self, folder: Path, options: StandInOptions, port: int | None = None) -> None:
        super().__init__("The Stripe stand-in", "gateway.development.stripe", folder, (port,))
        self._settings = options

    @property
    def url(self) -> str:
        """``base_addresses={"api": url}`` of the SDK."""
        return f"http://{self.host}:{self.port}"

    def _options(self) -> list[str]:
        given = self._settings
        options = ["--port", str(self.port), "--state", str(self._folder / "stripe.journal")]
        options += ["--api-key", given.api_key]
        return [*options, "--retry-first", str(given.retry_first), "--retry-longest", str(given.retry_longest)]
