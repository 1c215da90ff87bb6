"""The live stream's protocol: a client's text in, frames out, and where a connection starts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core import stream
from alertd.core.stream import AckFrame, BadFrame, PingFrame, Position, Resume, read_frame, resume

HEAD = Position("now", 41)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"type": "ack", "alert": "A1"}', AckFrame("A1", None, None, None)),
        (
            '{"type": "ack", "alert": "A1", "answer": "safe", "comment": "家です", "ref": "7"}',
            AckFrame("A1", "safe", "家です", "7"),
        ),
        ('{"type":"ack","alert":"A1","answer":null,"comment":null,"ref":null}', AckFrame("A1", None, None, None)),
    ],
)
def test_an_acknowledgement_is_read(text: str, frame: AckFrame) -> None:
    assert read_frame(text) == frame


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("{", "malformed"),
        ("[]", "malformed"),
        ('"ack"', "malformed"),
        ("null", "malformed"),
        ("NaN", "malformed"),
        ("[" * 16_000, "malformed"),
        ('{"a":' * 3_000 + "1" + "}" * 3_000, "malformed"),
        ("1" * 5_000, "malformed"),
        ('{"type": "ack", "alert": "A1", "ref": "\\ud800"}', "malformed"),
        ('{"type": "ack", "alert": "\\udfff"}', "malformed"),
        ("{}", "unknown_type"),
        ('{"type": "hello"}', "unknown_type"),
        ('{"type": ["ack"]}', "unknown_type"),
        ('{"type": "ack"}', "invalid"),
        ('{"type": "ack", "alert": 7}', "invalid"),
        ('{"type": "ack", "alert": "A1", "answer": true}', "invalid"),
        ('{"type": "ack", "alert": "A1", "comment": 1}', "invalid"),
        ('{"type": "ack", "alert": "A1", "ref": 1}', "invalid"),
        ('{"type": "ack", "alert": "A1", "person": "hanako"}', "invalid"),
        (json.dumps({"type": "ack", "alert": "A1", "comment": "x" * 2_001}), "invalid"),
        (json.dumps({"type": "ack", "alert": "A1", "ref": "x" * 201}), "invalid"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, code: str) -> None:
    frame = read_frame(text)
    assert isinstance(frame, BadFrame)
    assert frame.code == code
    assert frame.message


def test_a_refusal_names_the_frame_it_speaks_of() -> None:
    assert read_frame('{"type": "ack", "alert": 7, "ref": "r1"}') == BadFrame(
        "invalid", "alert must be the id of an alert", "r1"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "alert", "answer", "ref", "x"]), inner),
)


@given(st.text() | json_values.map(json.dumps))
def test_no_text_breaks_the_reader_and_its_answer_can_be_sent(text: str) -> None:
    frame = read_frame(text)
    if isinstance(frame, BadFrame):
        stream.error(frame.code, frame.message, frame.ref).encode()
    elif isinstance(frame, AckFrame):
        stream.acknowledged(frame.alert, frame.ref).encode()


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        (stream.hello(HEAD), {"type": "hello", "epoch": "now", "offset": 41}),
        (stream.reset(), {"type": "reset"}),
        (stream.alert(42, {"id": "A1", "title": "津波"}),
         {"type": "alert", "offset": 42, "alert": {"id": "A1", "title": "津波"}}),
        (stream.acknowledged("A1", None), {"type": "acknowledged", "alert": "A1"}),
        (stream.acknowledged("A1", "r"), {"type": "acknowledged", "alert": "A1", "ref": "r"}),
        (stream.summary("A1", {"recipients": 3}), {"type": "summary", "alert": "A1", "recipients": 3}),
        (stream.error("invalid", "no"), {"type": "error", "code": "invalid", "message": "no"}),
        (stream.error("invalid", "no", "r"), {"type": "error", "code": "invalid", "message": "no", "ref": "r"}),
    ],
)  # fmt: skip
def test_what_a_server_says(frame: str, read: object) -> None:
    assert json.loads(frame) == read


@pytest.mark.parametrize(
    ("after", "epoch", "start"),
    [
        (None, None, Resume(41, replay=False, reset=False)),
        (None, "now", Resume(41, replay=False, reset=False)),
        (None, "before", Resume(41, replay=False, reset=False)),
        (0, None, Resume(0, replay=True, reset=False)),
        (0, "now", Resume(0, replay=True, reset=False)),
        (40, "now", Resume(40, replay=True, reset=False)),
        (41, "now", Resume(41, replay=True, reset=False)),
        (42, "now", Resume(41, replay=False, reset=True)),
        (42, None, Resume(41, replay=False, reset=True)),
        (7, "before", Resume(41, replay=False, reset=True)),
        (7, "", Resume(41, replay=False, reset=True)),
    ],
)
def test_where_a_connection_starts(after: int | None, epoch: str | None, start: Resume) -> None:
    assert resume(after, epoch, HEAD) == start


def test_close_codes_are_those_of_the_contract() -> None:
    assert {code.name: code.value for code in stream.Close} == {
        "RESTARTING": 1012,
        "SIGN_IN_AGAIN": 4401,
        "NOT_YOURS": 4403,
        "TOO_SLOW": 4408,
    }


def test_a_ping_is_a_ping() -> None:
    assert read_frame('{"type": "ping"}') == PingFrame()
