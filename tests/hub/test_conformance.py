"""RFC 6455 as a client of bare bytes sees it, against the web process; what is asked stands in `cases`."""

import json
import struct

import pytest

from tests.hub.cases import CASES, Answer, Case
from tests.hub.raw import CLOSE, PING, PONG, TEXT, Raw, frame
from tests.web.server import Town


def answer_of(opcode: int, payload: bytes) -> Answer:
    if opcode == PONG:
        return payload
    assert opcode == TEXT
    said = json.loads(payload)
    return str(said["code"] if said["type"] == "error" else said["type"])


def code_of(payload: bytes) -> int:
    """The code of a close frame, 0 for none; its reason is text."""
    if not payload:
        return 0
    payload[2:].decode()
    return int(struct.unpack("!H", payload[:2])[0])


def play(line: Raw, case: Case) -> None:
    """Say what the case says; AssertionError unless it is answered as the case says and nothing else comes."""
    for each in case.sent:
        try:
            line.send(each)
        except (BrokenPipeError, ConnectionResetError):
            assert case.ends is not None
            break
    if case.ends is None:
        line.send(frame(PING, b"the last"))
        answers = []
        while (received := line.receive()) != (PONG, b"the last"):
            assert received is not None
            answers.append(answer_of(*received))
        assert answers == list(case.answers)
        return
    *frames, (opcode, payload) = line.rest()
    assert (opcode, code_of(payload)) == (CLOSE, case.ends)
    assert [answer_of(*received) for received in frames] == list(case.answers)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(standing_town: Town, case: Case) -> None:
    with Raw(standing_town.site.url).open(standing_town.tokens["staff"]) as line:
        assert answer_of(*(line.receive() or (0, b""))) == "hello"
        play(line, case)


def test_no_compression_is_agreed_on(standing_town: Town) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    with Raw(standing_town.site.url).open(standing_town.tokens["staff"], "", offer) as line:
        assert b"sec-websocket-extensions" not in line.headers.lower()
        line.send(frame(TEXT, b"\0", rsv=4))
        *_, (opcode, payload) = line.rest()
    assert (opcode, code_of(payload)) == (CLOSE, 1002)


def test_it_can_fail(standing_town: Town) -> None:
    for wrong in (
        Case("an answer too many", (frame(PING, b"a"),), (b"a", b"a")),
        Case("another answer", (frame(PING, b"a"),), (b"b",)),
        Case("not the end", (frame(PING, b"a"), frame(CLOSE)), (b"a",), 1000),
        Case("another end", (frame(CLOSE),), (), 1002),
    ):
        with Raw(standing_town.site.url).open(standing_town.tokens["staff"]) as line:
            line.receive()
            with pytest.raises(AssertionError):
                play(line, wrong)
