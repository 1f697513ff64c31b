"""Errors of the usage journal."""

from tenants.errors import Unavailable


class UsageFolderUnusable(Exception):
    """The folder cannot be written or mapped. The worker must not start, since it could not count usage."""


class UsageJournalFull(Unavailable):
    """The journal is full while PostgreSQL or the disk is unavailable. What cannot be counted is not admitted."""

    retry_after = 5
