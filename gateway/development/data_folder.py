"""The data folder of one `tenantry dev`: its paths, its lock, and how it is emptied."""

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.development.folders import FolderLock, delete_folder, make_folder, write_secret
from gateway.development.processes import runs_as_root


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths in the data folder. Every file with a secret has mode 0600."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> "DataFolder":
        """Create it if needed. As root, let other users traverse it, because PostgreSQL does not run as root."""
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
    def upstream(self) -> Path:
        return self.root / "upstream"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def usage(self) -> Path:
        """Journals of usage that is not in the database yet."""
        return self.root / "usage"

    @property
    def audit_checkpoints(self) -> Path:
        """Signed checkpoints of the tenants' audit logs."""
        return self.root / "audit"

    @property
    def state(self) -> Path:
        """See ``demo_state.py``."""
        return self.root / "saved.json"

    @property
    def environment(self) -> Path:
        """The settings, for ``tenantry --env-file``."""
        return self.root / "tenantry.env"

    @property
    def prepared(self) -> Path:
        """``demo`` before the gateway is ready to serve."""
        return self.root / "demo.json.prepared"

    @property
    def demo(self) -> Path:
        """Addresses, keys and passwords for users of the demo. Exists only while it is ready to serve."""
        return self.root / "demo.json"

    @property
    def next_steps(self) -> Path:
        """The commands to paste, as `tenantry dev` prints them."""
        return self.root / "next_steps.txt"

    def lock(self) -> FolderLock:
        """Held by the `tenantry dev` that uses this folder."""
        return FolderLock(self.root)

    def empty(self) -> None:
        """Delete what `tenantry dev` created in it, and nothing else: it may hold other files."""
        delete_folder(self.postgres)
        for folder in (
            self.redis,
            self.stripe,
            self.mail,
            self.upstream,
            self.logs,
            self.usage,
            self.audit_checkpoints,
        ):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.state, self.environment, self.prepared, self.demo, self.next_steps, self._stripe_key):
            file.unlink(missing_ok=True)

    def begin(self) -> None:
        """Create what a start needs, and remove the files that marked an earlier one as ready."""
        self.demo.unlink(missing_ok=True)
        self.prepared.unlink(missing_ok=True)
        make_folder(self.logs, open_to_others=False)

    def stripe_key(self) -> str:
        """The secret key of the Stripe stand-in, generated once."""
        if not self._stripe_key.exists():
            write_secret(self._stripe_key, f"sk_test_{secrets.token_hex(24)}")
        return self._stripe_key.read_text()

    @property
    def _stripe_key(self) -> Path:
        return self.root / "stripe_api_key"
