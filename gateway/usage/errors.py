"""What can keep a worker from counting."""

from tenants.errors import Unavailable


class UsageFolderUnusable(Exception):
    """The folder of the journals cannot be written or mapped: the worker must not start, since it could not count."""


class UsageJournalFull(Unavailable):
    """No more can be journalled until PostgreSQL, or the disk, takes some: what cannot be counted is not admitted."""

    retry_after = 5
