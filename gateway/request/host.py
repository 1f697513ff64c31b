"""The host name of a Host field, in the one form in which names are compared."""


def host_name(value: bytes) -> str:
    """Name or bracketed address of a valid Host value: lower case, without its port and one final dot.

    RFC 9110 section 4.2.3: names are case-insensitive. RFC 1034 section 3.1: ``example.com.`` is the absolute form of
    ``example.com``, which browsers and resolvers send as it was typed.
    """
    text = value.decode("latin-1").lower()
    if not text.endswith("]"):
        name, colon, _ = text.rpartition(":")
        text = name if colon else text
    return text.removesuffix(".")
