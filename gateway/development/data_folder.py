"""The folder of one `tenantry dev`: what is where, who uses it, and how it is emptied."""

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.development.folders import FolderLock, discard, make_folder, write_secret
from gateway.development.processes import runs_as_root


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths in the data folder. Every file that holds a secret has mode 0600."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> "DataFolder":
        """Made with its parents when it is not there. As root, others may pass through it: PostgreSQL is not root."""
        return cls(make_folder(path, open_to_others=runs_as_root()))

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def stripe(self) -> Path:
        return self.root / "stripe"

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def usage(self) -> Path:
        """What each worker has counted and not yet brought to the database."""
        return self.root / "usage"

    @property
    def saved(self) -> Path:
        """Secrets that are made once, and the demo's keys and passwords."""
        return self.root / "saved.json"

    @property
    def environment(self) -> Path:
        """The settings, for ``tenantry --env-file``."""
        return self.root / "tenantry.env"

    @property
    def prepared(self) -> Path:
        """What ``demo`` will be, before anything is ready to serve."""
        return self.root / "demo.json.prepared"

    @property
    def demo(self) -> Path:
        """What whoever uses the demo needs. There while, and only while, it is ready to serve."""
        return self.root / "demo.json"

    def lock(self) -> FolderLock:
        """Held by the one `tenantry dev` that uses this folder."""
        return FolderLock(self.root)

    def empty(self) -> None:
        """Delete what we made in it, and nothing else: it may be anybody's folder."""
        discard(self.postgres)
        for folder in (self.redis, self.stripe, self.mail, self.logs, self.usage):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.saved, self.environment, self.prepared, self.demo, self._stripe_key):
            file.unlink(missing_ok=True)

    def begin(self) -> None:
        """Make what a start needs, and take away what said that an earlier one was ready."""
        self.demo.unlink(missing_ok=True)
        self.prepared.unlink(missing_ok=True)
        make_folder(self.logs, open_to_others=False)

    def stripe_key(self) -> str:
        """The secret key of the Stripe stand-in, made once."""
        if not self._stripe_key.exists():
            write_secret(self._stripe_key, f"sk_test_{secrets.token_hex(24)}")
        return self._stripe_key.read_text()

    @property
    def _stripe_key(self) -> Path:
        return self.root / "stripe_api_key"
