"""``FrameReader``: which bytes of a WebSocket pass (RFC 6455 section 5, PX12)."""

import time

import pytest
from websockets.frames import Close, Frame, Opcode

from gateway.proxy.websocket.frames import CloseCode, FrameError, FrameReader, close_frame

_LIMIT = 70_000


def _frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, final).serialize(mask=masked)


def _reader(*, masked: bool = True, limit: int = _LIMIT) -> FrameReader:
    return FrameReader(masked=masked, limit=limit)


def _read(reader: FrameReader, data: bytes, piece: int) -> bytes:
    passed = b""
    for begin in range(0, len(data), piece):
        passed += reader.read(data[begin : begin + piece])
        while reader.behind:
            passed += reader.read(b"")
    return passed


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1_000, 1_000_000])
@pytest.mark.parametrize("masked", [True, False])
def test_valid_frames_pass_unchanged(piece: int, *, masked: bool) -> None:
    """PX12: every length, fragments with control frames between them, however the bytes arrive."""
    frames = [
        _frame(Opcode.TEXT, masked=masked),
        *(_frame(Opcode.BINARY, b"a" * size, masked=masked) for size in (1, 125, 126, 65_535, 65_536)),
        _frame(Opcode.TEXT, b"one", final=False, masked=masked),
        _frame(Opcode.PING, b"b" * 125, masked=masked),
        _frame(Opcode.CONT, b"", final=False, masked=masked),
        _frame(Opcode.CONT, b"two", masked=masked),
        _frame(Opcode.PONG, masked=masked),
        _frame(Opcode.CLOSE, b"\x03\xe8bye", masked=masked),
    ]
    reader, sent = _reader(masked=masked), b"".join(frames)
    assert _read(reader, sent + b"what follows a close frame", piece) == sent
    assert (reader.messages, reader.frames, reader.closed, reader.left) == (7, 9, True, 0)


def test_an_incomplete_header_does_not_pass() -> None:
    """PX12: so that a close frame of ours fits behind what did."""
    reader, text, large = _reader(), _frame(Opcode.TEXT, b"one"), _frame(Opcode.BINARY, b"a" * 300)
    assert (reader.read(text + large[:7]), reader.left) == (text, 0)
    assert (reader.read(large[7:100]), reader.left) == (large[:100], len(large) - 100)


_FAULTS = {
    "a reserved bit": (b"\xc1\x80", CloseCode.PROTOCOL_ERROR),
    "not masked": (_frame(Opcode.TEXT, b"a", masked=False), CloseCode.PROTOCOL_ERROR),
    "an opcode of data": (b"\x83\x80", CloseCode.PROTOCOL_ERROR),
    "an opcode of control": (b"\x8b\x80", CloseCode.PROTOCOL_ERROR),
    "a long ping": (b"\x89\xfe", CloseCode.PROTOCOL_ERROR),
    "a fragmented ping": (b"\x09\x80", CloseCode.PROTOCOL_ERROR),
    "a close code of one byte": (b"\x88\x81", CloseCode.PROTOCOL_ERROR),
    "a continuation of nothing": (b"\x80\x80", CloseCode.PROTOCOL_ERROR),
    "a message within a message": (_frame(Opcode.TEXT, b"a", final=False) + b"\x81\x80", CloseCode.PROTOCOL_ERROR),
    "two bytes for a short length": (b"\x82\xfe\x00\x7d", CloseCode.PROTOCOL_ERROR),
    "eight bytes for a short length": (b"\x82\xff" + (65_535).to_bytes(8), CloseCode.PROTOCOL_ERROR),
    "a negative length": (b"\x82\xff" + (1 << 63).to_bytes(8), CloseCode.PROTOCOL_ERROR),
    "a message over the limit": (b"\x82\xff" + (_LIMIT + 1).to_bytes(8) + bytes(4), CloseCode.MESSAGE_TOO_BIG),
    "fragments over the limit": (
        _frame(Opcode.TEXT, b"a" * _LIMIT, final=False) + _frame(Opcode.CONT, b"a"),
        CloseCode.MESSAGE_TOO_BIG,
    ),
}


@pytest.mark.parametrize("piece", [1, 1_000_000])
@pytest.mark.parametrize(("sent", "code"), _FAULTS.values(), ids=_FAULTS.keys())
def test_invalid_frames_do_not_pass(sent: bytes, code: CloseCode, piece: int) -> None:
    """PX12: and what came before them does."""
    reader, before = _reader(), _frame(Opcode.PING, b"before")
    passed, error = b"", None
    for begin in range(0, len(before + sent), piece):
        try:
            passed += reader.read((before + sent)[begin : begin + piece])
        except FrameError as refused:
            passed, error = passed + refused.before, refused
            break
    assert error is not None
    assert error.code is code
    assert passed == (before + sent)[: len(passed)]
    assert len(before) <= len(passed) < len(before + sent)
    assert reader.left == 0


def test_a_message_at_the_limit_passes_also_in_fragments() -> None:
    """PX12: the next message has the whole limit again."""
    half = _LIMIT // 2
    sent = _frame(Opcode.TEXT, b"a" * half, final=False) + _frame(Opcode.CONT, b"a" * half)
    reader = _reader()
    for each in (_frame(Opcode.BINARY, b"a" * _LIMIT), sent, sent):
        assert reader.read(each) == each
    assert reader.messages == 3


def test_a_masked_frame_of_an_upstream_does_not_pass() -> None:
    """RFC 6455 section 5.1."""
    with pytest.raises(FrameError):
        _reader(masked=False).read(_frame(Opcode.TEXT, b"a"))


def test_very_many_frames_are_read_in_turns() -> None:
    """LD1: one read can have 130,000 empty frames, which take 100 ms."""
    reader, sent = _reader(masked=False), _frame(Opcode.TEXT, masked=False) * 131_072
    began, longest, passed = time.thread_time(), 0.0, b""
    while reader.behind or not passed:
        passed += reader.read(b"" if passed else sent)
        longest, began = max(longest, time.thread_time() - began), time.thread_time()
    assert passed == sent
    assert longest < 0.025


@pytest.mark.parametrize("masked", [True, False])
def test_a_close_frame_of_ours_is_valid(*, masked: bool) -> None:
    """RFC 6455 section 5.5.1, read by another parser."""
    frame = close_frame(CloseCode.SERVICE_RESTART, "the server stops", masked=masked)
    reader = _reader(masked=masked)
    assert reader.read(frame) == frame
    payload = frame[-18:] if not masked else bytes(a ^ frame[2 + at % 4] for at, a in enumerate(frame[6:]))
    assert Close.parse(payload) == Close(1012, "the server stops")
