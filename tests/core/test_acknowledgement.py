"""Tokens that prove who answers, and what a texted reply means."""

import string
from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.acknowledgement import (
    TOKEN_LENGTH,
    Candidate,
    Reply,
    TokenKeys,
    Way,
    link_way,
    make_token,
    read_reply,
    read_token,
    reply_code,
)
from alertd.core.alert import Ask, Choice

KEYS = TokenKeys({1: b"first key", 2: b"second key"}, current=2)
ALPHABET = string.ascii_letters + string.digits + "-_"

recipients = st.integers(0, 2**48 - 1)
ways = st.sampled_from(Way)


class TestToken:
    @given(recipients, ways)
    def test_it_names_its_recipient_and_way_again(self, recipient: int, way: Way) -> None:
        token = make_token(recipient, way, KEYS)
        assert len(token) == TOKEN_LENGTH
        assert set(token) <= set(ALPHABET)
        assert read_token(token, KEYS) == (recipient, way)

    def test_it_is_the_same_at_every_attempt_and_another_for_everybody_and_every_way(self) -> None:
        tokens = [make_token(recipient, way, KEYS) for recipient in range(20) for way in Way]
        assert tokens == [make_token(recipient, way, KEYS) for recipient in range(20) for way in Way]
        assert len(set(tokens)) == len(tokens)

    def test_no_single_character_can_be_changed(self) -> None:
        token = make_token(4711, Way.SMS_LINK, KEYS)
        changed = [
            token[:place] + other + token[place + 1 :]
            for place in range(TOKEN_LENGTH)
            for other in ALPHABET + "+/=. \n\0é"
            if other != token[place]
        ]
        assert [each for each in changed if read_token(each, KEYS) is not None] == []

    @given(st.text() | st.text(st.sampled_from(ALPHABET), min_size=TOKEN_LENGTH, max_size=TOKEN_LENGTH))
    def test_what_we_did_not_make_is_refused(self, text: str) -> None:
        assert read_token(text, KEYS) is None

    def test_another_spelling_of_the_same_bytes_is_refused(self) -> None:
        recipient = next(number for number in range(10_000) if set("-_") & set(make_token(number, Way.PAGE, KEYS)))
        token = make_token(recipient, Way.PAGE, KEYS)
        standard = token.replace("-", "+").replace("_", "/")
        for spelling in (standard, f"{token}=", f"{token} ", f"\n{token}", token + token, token[:31]):
            assert read_token(spelling, KEYS) is None

    def test_what_is_not_of_the_alphabet_is_not_skipped_over(self) -> None:
        # A lenient decoder drops foreign characters: 28 good ones and four others would be 21 bytes.
        token = make_token(7, Way.PAGE, KEYS)
        assert read_token(token[:28] + "!!!!", KEYS) is None
        assert read_token(token[:30] + "!!", KEYS) is None

    def test_another_town_s_key_does_not_open_it(self) -> None:
        token = make_token(7, Way.PAGE, KEYS)
        assert read_token(token, TokenKeys({1: b"first key", 2: b"another key"}, 2)) is None
        assert read_token(token, TokenKeys({1: b"first key"}, 1)) is None

    def test_an_older_key_still_verifies_after_a_rotation(self) -> None:
        before = make_token(7, Way.PAGE, TokenKeys({1: b"first key"}, 1))
        assert read_token(before, KEYS) == (7, Way.PAGE)
        assert make_token(7, Way.PAGE, KEYS) != before

    def test_it_carries_sixteen_bytes_of_proof(self) -> None:
        one, other = (urlsafe_b64decode(make_token(7, way, KEYS)) for way in (Way.PAGE, Way.PUSH))
        assert len(one) == len(other) == 6 + 1 + 1 + 16
        assert one[8:] != other[8:]

    def test_the_numbers_of_the_ways_never_change(self) -> None:
        assert {way.word: way.number for way in Way} == {
            "websocket": 1,
            "api": 2,
            "page": 3,
            "push": 4,
            "sms-link": 5,
            "email-link": 6,
            "sms-reply": 7,
            "proxy": 8,
            "link": 9,
            "beacon": 10,
            "slack-link": 11,
            "teams-link": 12,
        }


@pytest.mark.parametrize(
    ("channel", "way"),
    [("webpush", Way.PUSH), ("sms", Way.SMS_LINK), ("email", Way.EMAIL_LINK), ("pigeon", Way.LINK)],
)
def test_a_link_knows_which_channel_carried_it(channel: str, way: Way) -> None:
    assert link_way(channel) is way


class TestReplyCode:
    @given(recipients)
    def test_it_has_three_digits_and_never_a_leading_zero(self, recipient: int) -> None:
        assert 100 <= int(reply_code(recipient, KEYS)) <= 999

    def test_it_stays_when_the_key_is_changed(self) -> None:
        assert reply_code(7, KEYS) == reply_code(7, TokenKeys({1: b"first key"}, 1))


ASK = Ask("無事ですか", (Choice("safe", "無事"), Choice("hurt", "けが"), Choice("away", "市外")))
PLAIN = Candidate(1, "太郎", "津波", None, "482")
ASKED = Candidate(2, "太郎", "地震", ASK, "731")
TWIN = Candidate(3, "花子", "地震", ASK, "731")


class TestReply:
    @pytest.mark.parametrize("text", ["1", "１", "①", " 1 ", "　１　", "1.", "(1)", "#1", "1\n", "1 482", "482 1",
                                      "４８２　１", "1-482", "ok", "OK", "ＯＫ", "はい", "確認", "了解しました", "ok 1",
                                      "482 ok", "yes"])  # fmt: skip
    def test_a_plain_acknowledgement(self, text: str) -> None:
        assert read_reply(text, [PLAIN]) == Reply(PLAIN)

    @pytest.mark.parametrize(
        "text", ["", " ", "2", "0", "11", "1 2", "1/2", "1.5", "いいえ", "not ok", "ok 2", "1 but hurt", "482",
                 "助けて", "482 482 1", "1 1", "1234", "今日は12時", "🙂", "1a"],
    )  # fmt: skip
    def test_what_might_mean_something_else_is_not_taken_for_an_acknowledgement(self, text: str) -> None:
        assert read_reply(text, [PLAIN]).problem == "unclear"

    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("1", "safe"),
            ("2", "hurt"),
            ("３", "away"),
            ("2 731", "hurt"),
            ("731:2", "hurt"),
            ("②", "hurt"),
            ("02", "hurt"),
        ],
    )
    def test_the_number_of_a_choice_answers_the_question(self, text: str, answer: str) -> None:
        assert read_reply(text, [ASKED]) == Reply(ASKED, answer=answer)

    @pytest.mark.parametrize("text", ["ok", "はい", "無事", "0", "4", "9", "99", "1 2", "-", "2 hurt", "731", "12"])
    def test_a_question_is_answered_by_nothing_else(self, text: str) -> None:
        assert read_reply(text, [ASKED]).problem == "unclear"

    @pytest.mark.parametrize("text", ["1", "ok", "2", "1 999", ""])
    def test_where_several_are_open_it_asks_which(self, text: str) -> None:
        assert read_reply(text, [PLAIN, ASKED]) == Reply(None, problem="which")

    def test_the_code_names_one_of_several(self) -> None:
        assert read_reply("1 482", [PLAIN, ASKED]) == Reply(PLAIN)
        assert read_reply("７３１ ２", [PLAIN, ASKED]) == Reply(ASKED, answer="hurt")
        assert read_reply("1 482 731", [PLAIN, ASKED]) == Reply(None, problem="unclear")

    def test_two_with_the_same_code_are_never_guessed_between(self) -> None:
        assert read_reply("2 731", [ASKED, TWIN]) == Reply(None, problem="which")

    def test_a_code_of_another_alert_is_not_taken_for_the_only_open_one(self) -> None:
        assert read_reply("1 999", [PLAIN]) == Reply(None, problem="which")

    @given(st.text(max_size=40))
    def test_without_an_open_alert_there_is_nothing_to_answer(self, text: str) -> None:
        assert read_reply(text, []) == Reply(None, problem="nothing-open")

    @given(st.text(max_size=40) | st.text(st.sampled_from("0123456789０１２ 　.,ok"), max_size=12))
    def test_whatever_is_texted_either_answers_or_has_a_problem(self, text: str) -> None:
        for candidates in ([PLAIN], [ASKED], [PLAIN, ASKED]):
            reply = read_reply(text, candidates)
            if reply.problem is None:
                assert reply.candidate in candidates
                assert (reply.answer is None) is (reply.candidate is PLAIN)
            else:
                assert reply.answer is None
