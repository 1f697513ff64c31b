"""The rules of HTTP that a request can break, each with the constant text that its sender gets.

A client library's author reads the answer, so it names the rule. It never contains any of the input: the sender may be
somebody else's browser, and a log or a page may show it.
"""

from enum import Enum

from gateway.problems.errors import MalformedRequest
from tenants.errors import ErrorKind, TenantryError


class Rule(Enum):
    """What RFC 9112 and RFC 9110 require of a request, where this server is stricter than others on purpose."""

    REQUEST_LINE = "The request line must be a method, a target and a version, with one space between."
    VERSION = "The version must be HTTP/1.1 or HTTP/1.0."
    TARGET = "The request target has a character or an encoding that a URI must not have, or is in no valid form."
    ABSOLUTE_TARGET = "The host of an absolute request target must be that of the Host field."
    ASTERISK_TARGET = "The target * is only valid with OPTIONS."
    BARE_LF = "Every line must end with CR LF, not with LF alone."
    BARE_CR = "CR is only valid before LF."
    CONTROL_BYTE = "A control byte is not valid in a header or trailer line, nor in a request line."
    FOLDED_LINE = "A header line must not begin with white space."
    NO_COLON = "A header line must have a name, a colon and a value."
    SPACE_BEFORE_COLON = "White space is not valid between a field's name and its colon."
    FIELD_NAME = "A field's name must be a token."
    TWO_HOSTS = "Host must be sent once."
    TWO_LENGTHS = "Content-Length must be sent once."
    TWO_CODINGS = "Transfer-Encoding must be sent once."
    TWO_TYPES = "Content-Type must be sent once."
    NO_HOST = "An HTTP/1.1 request must have Host."
    HOST = "Host must be a name or an address, and a port after it if there is one."
    LENGTH = "Content-Length must be a decimal number."
    CODING = "The only transfer coding that is supported is chunked, once."
    CODING_AND_LENGTH = "A request must not have both Transfer-Encoding and Content-Length."
    CODING_IN_1_0 = "An HTTP/1.0 request must not have Transfer-Encoding."
    CHUNK_SIZE = "A chunk must begin with its size in hexadecimal, valid extensions if any, and CR LF."
    CHUNK_END = "A chunk must end with CR LF after as many bytes as its size says."
    HEAD_INCOMPLETE = "The connection ended before the end of the head."


class UnreadableRequest(MalformedRequest):
    """The head or the framing of a request breaks a rule. Its sender and the log are told which one."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(f"The request is not valid HTTP. {rule.value}", detail=rule.name.lower())
        self.rule = rule


class MethodNotImplemented(TenantryError):
    """RFC 9110 section 9.1: a method that this server has for no resource at all."""

    kind = ErrorKind.MALFORMED
    code = "method_not_implemented"
    title = "Method not implemented"
    message = "This server does not implement the method for any resource. Methods are case-sensitive."
