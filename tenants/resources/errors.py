"""What is wrong with a declaration. Raised at start, to the team that wrote it; never while a request runs."""


class DeclarationError(ValueError):
    """One resource, or the module that declares them, cannot be served as written; says where and what to write."""

    def __init__(self, subject: str, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n  - ".join((f"{subject} cannot be served:", *faults)))
