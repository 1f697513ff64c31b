"""Errors of declarations, raised at start and never during a request."""


class DeclarationError(ValueError):
    """A resource or its module cannot be served. The message says what is wrong and what to write."""

    def __init__(self, subject: str, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n  - ".join((f"{subject} cannot be served:", *faults)))
