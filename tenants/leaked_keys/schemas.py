"""A report and its answer, in the form of GitHub's secret-scanning partner programme.

Source: https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partner-program.
"""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tenants.leaked_keys.place import Place, place_of

MOST_MATCHES = 500  # of one report
_LONGEST_TYPE = 100
_TYPE = "tenantry_api_key"
EXAMPLE = {
    "token": "tn_live_4Kq9…T3vX",
    "type": _TYPE,
    "url": "https://github.com/octocat/Hello-World/blob/12345600b9cb/config.py",
    "source": "content",
}


class ReportedMatch(BaseModel):
    """One token, and where it was found. The format is not ours: members that it gains are ignored."""

    model_config = ConfigDict(extra="ignore")

    token: Annotated[str, Field(repr=False, description="What was found.")]
    type: Annotated[str, Field(max_length=_LONGEST_TYPE, description="The name of the regular expression.")]
    url: Annotated[str | None, Field(description="Where it was found; may be empty.")] = None
    source: Annotated[str | None, Field(description="The kind of place, such as `commit`.")] = None

    @property
    def place(self) -> Place:
        """Where it was found, as it may be stored and shown."""
        return place_of(self.source, self.url)


REPORT: TypeAdapter[list[ReportedMatch]] = TypeAdapter(Annotated[list[ReportedMatch], Field(max_length=MOST_MATCHES)])


class Verdict(BaseModel):
    """Whether a token is or was a key. Names it by its hash: an answer has no token."""

    token_hash: Annotated[
        str,
        Field(
            description="SHA-256 of the token, in hexadecimal digits.",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ]
    token_type: Annotated[str, Field(description="As reported.", examples=[_TYPE])]
    label: Annotated[Literal["true_positive", "false_positive"], Field(examples=["true_positive"])]

    @classmethod
    def of(cls, match: ReportedMatch, *, known: bool) -> "Verdict":
        """The answer to one match."""
        digest = sha256(match.token.encode()).hexdigest()
        return cls(token_hash=digest, token_type=match.type, label="true_positive" if known else "false_positive")
