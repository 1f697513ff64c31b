"""What can go wrong with an issuer. The texts say why, for the log only."""


class AnswerRefused(Exception):
    """What the issuer has signed, or answered, is not accepted."""


class IssuerUnusable(Exception):
    """The issuer cannot be asked, or what it publishes is not acceptable."""
