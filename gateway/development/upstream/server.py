"""The demo service as a process, started and stopped like PostgreSQL and Redis (``servers.py``)."""

from pathlib import Path

from gateway.development.module_server import ModuleServer


class DemoUpstream(ModuleServer):
    """Takes a free port."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__("The demo service", "gateway.development.upstream", folder, (port,))

    @property
    def url(self) -> str:
        """Where proxied routes reach it."""
        return f"http://{self.host}:{self.port}"

    def _options(self) -> list[str]:
        return ["--port", str(self.port)]
