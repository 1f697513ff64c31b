"""The mail sink as a process of its own, started and stopped like PostgreSQL and Redis (``servers.py``)."""

from importlib.util import find_spec
from pathlib import Path

from gateway.development.module_server import ModuleServer
from gateway.development.servers import ProgramMissing


class MailSink(ModuleServer):
    """Its ``port`` is that of SMTP. Keeps its ports over restarts; messages are in memory and end with the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__("The mail sink", "gateway.development.mail", folder, (None, None))

    @property
    def url(self) -> str:
        """Where the messages can be read. Raises ServerFailed before the first start."""
        return f"http://{self.host}:{self.ports[1]}"

    def begin(self) -> None:
        """Launch it without waiting. Raises ProgramMissing."""
        if find_spec("aiosmtpd") is None:
            raise ProgramMissing("The mail sink needs aiosmtpd: pip install 'tenantry[dev]'.")
        super().begin()

    def _options(self) -> list[str]:
        smtp, http = self.ports
        return ["--smtp-port", str(smtp), "--http-port", str(http)]
