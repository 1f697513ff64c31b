"""E-mail addresses: one address, as a request or a command gives it."""

from email.errors import MessageError
from email.headerregistry import Address
from typing import Annotated

from pydantic import AfterValidator, Field

from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.shown import SHOWN

LONGEST_ADDRESS = 320  # characters


def one_address(text: str) -> str:
    """Return the text if it is exactly one address. Raises BadValue.

    As a header, "a, b@example.com" would be two recipients.
    """
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError) as error:  # IndexError: the library's, for some malformed input
        raise BadValue("bad_address", "Must be one e-mail address.") from error
    if not (address.username and address.domain):
        raise BadValue("bad_address", "Must be one e-mail address.")
    return text


Email = Annotated[
    str,
    Field(max_length=LONGEST_ADDRESS, pattern=r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+$", examples=["ada@example.com"]),
    SHOWN,
    AfterValidator(with_pydantic_errors(one_address)),
]
