"""Time-based one-time passwords (RFC 6238) as authenticator apps make them: SHA-1, six digits, 30 seconds."""

import io
import re
from collections.abc import Callable

import pyotp
import segno
from pyotp.exceptions import OTPVerificationError

WINDOW = 1  # steps before and after the current one: clocks differ, and people type slowly (RFC 6238 section 5.2)
_CODE = re.compile(r"[0-9]{6}", re.ASCII)

Clock = Callable[[], float]  # seconds since the epoch


def new_secret() -> str:
    """A secret of 160 random bits, in base32."""
    return pyotp.random_base32()


def is_code(text: str) -> bool:
    """Whether the text has the form of a code."""
    return _CODE.fullmatch(text) is not None


def accepted_step(secret: str, code: str, *, now: float, after: int | None) -> int | None:
    """The time step of the code if it is correct and later than the step ``after``, else None.

    A code is compared in constant time. A step that was accepted once is never accepted again.
    """
    if not is_code(code):  # the library would read digits of other scripts, too
        return None
    try:
        step = pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=WINDOW)
    except OTPVerificationError:
        return None
    return step if after is None or step > after else None


def enrolment_uri(secret: str, *, account: str, issuer: str) -> str:
    """The ``otpauth://`` URI that authenticator apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def qr_svg(uri: str) -> str:
    """The URI as a QR code: an SVG image without scripts, styles or references."""
    image = io.BytesIO()
    segno.make_qr(uri, error="m").save(image, kind="svg", xmldecl=False, scale=4)
    return image.getvalue().decode()
