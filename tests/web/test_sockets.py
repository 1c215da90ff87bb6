"""The live stream over real sockets: who gets in, what they hear, and how a line that is cut is taken up again."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from alertd.core.roles import Role
from alertd.core.stream import FRAME_MAX
from alertd.service import access, watching
from alertd.service.posting import post
from alertd.store import instance
from tests.installation import BOSS, Clock, draft, settle
from tests.web.server import PATIENCE, Site, Town, frame

ASK = {"question": "無事ですか", "choices": [{"id": "safe", "label": "無事"}]}


async def closing(stream: ClientConnection) -> tuple[int, list[dict[str, Any]]]:
    """The close code, and the frames before it."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionClosed):
            while True:
                frames.append(json.loads(await stream.recv()))
    assert stream.close_code is not None
    return stream.close_code, frames


async def acknowledge(stream: ClientConnection, **fields: Any) -> dict[str, Any]:
    """Send an acknowledgement; the frame that answers it."""
    await stream.send(json.dumps({"type": "ack", **fields}))
    return await frame(stream, "acknowledged", "error")


async def published(town: Town) -> str:
    """An alert that everybody who is there has heard of; its id."""
    async with town.stream("viewer") as stream:
        await frame(stream)
        alert = await town.alert()
        assert (await frame(stream))["alert"]["id"] == alert
    return alert


class TestSigningIn:
    @pytest.mark.parametrize("token", ["", "x", "x" * 43])
    async def test_whoever_is_not_known_is_told_to_sign_in(self, town: Town, token: str) -> None:
        town.tokens["stranger"] = token
        async with town.stream("stranger" if token else None) as stream:
            code, frames = await closing(stream)
        assert (code, frames[0]["type"], frames[0]["code"]) == (4401, "error", "unauthenticated")

    async def test_a_token_may_come_as_the_subprotocol(self, town: Town) -> None:
        name = f"bearer.{town.tokens['staff']}"
        async with town.stream(None, subprotocols=["other", name]) as stream:
            assert stream.subprotocol == name
            assert (await frame(stream))["type"] == "hello"

    async def test_a_bad_subprotocol_is_no_way_round(self, town: Town) -> None:
        async with town.stream(None, subprotocols=["bearer.nonsense"]) as stream:
            assert (await closing(stream))[0] == 4401

    @pytest.mark.parametrize(
        ("origin", "welcome"),
        [("own", True), (None, True), ("https://evil.example", False), ("null", False), ("http://127.0.0.1", False)],
    )
    async def test_a_session_is_taken_only_from_our_own_pages(
        self, town: Town, origin: str | None, welcome: bool
    ) -> None:
        session = access.open_session_by_link(town.rt, access.create_link(town.rt, BOSS, "staff").secret)
        headers = {"Cookie": f"alertd={session.secret}"}
        if origin is not None:
            headers["Origin"] = town.site.url if origin == "own" else origin
        async with town.stream(None, headers=headers) as stream:
            if welcome:
                assert (await frame(stream))["type"] == "hello"
            else:
                assert (await closing(stream))[0] == 4403

    async def test_a_bearer_token_needs_no_origin(self, town: Town) -> None:
        async with town.stream("staff", headers={"Origin": "https://evil.example"}) as stream:
            assert (await frame(stream))["type"] == "hello"

    async def test_a_token_that_is_revoked_ends_its_connections_and_no_others(self, town: Town) -> None:
        made = await town.call("admin", "POST", "/tokens", {"person": "staff", "role": "staff"})
        town.tokens["lost"] = made.body["token"]
        async with town.stream("lost") as lost, town.stream("staff") as kept:
            await frame(lost)
            await frame(kept)
            await town.call("admin", "DELETE", f"/tokens/{made.body['id']}")
            assert await closing(lost) == (4401, [])
            await town.post()
            assert (await frame(kept))["type"] == "alert"

    async def test_somebody_who_left_the_town_hears_nothing_more(self, town: Town) -> None:
        async with town.stream("staff") as stream:
            await frame(stream)
            await town.call("admin", "PUT", "/people/staff", {"name": "x", "active": False})
            assert (await closing(stream))[0] == 4401

    async def test_a_process_that_ends_tells_everybody_to_come_back(self, open_site: Callable[..., Site]) -> None:
        site = open_site()
        async with Town(site) as town, town.stream("staff") as stream:
            await frame(stream)
            stopping = asyncio.create_task(asyncio.to_thread(site.stop_listening))
            assert (await closing(stream))[0] == 1012
            await stopping


class TestHearing:
    async def test_an_alert_is_one_frame_with_everything_to_show(self, town: Town) -> None:
        async with town.stream("staff") as stream:
            hello = await frame(stream)
            posted = await town.post(ask=ASK, severity="extreme", drill=True)
            heard = await frame(stream)
        assert hello.keys() == {"type", "epoch", "offset"}
        assert heard["offset"] > hello["offset"]
        alert = posted["alert"]
        assert (
            heard["alert"].items()
            >= {
                "id": alert["id"],
                "revision": 1,
                "title": "【訓練】避難所を開設しました",
                "body": "第一小学校へ。",
                "severity": "extreme",
                "drill": True,
                "ask": ASK,
                "sent_at": alert["sent_at"],
                "state": "active",
            }.items()
        )

    async def test_each_hears_a_drill_in_their_own_language(self, town: Town) -> None:
        town.move_in("anna", language="en")
        async with town.stream("anna") as stream:
            await frame(stream)
            await town.post(drill=True)
            assert (await frame(stream))["alert"]["title"].startswith("[DRILL] ")

    async def test_only_its_audience_hears_it_and_whoever_may_see_every_alert(self, town: Town) -> None:
        town.move_in("other")
        async with town.stream("staff") as mine, town.stream("other") as theirs, town.stream("viewer") as viewer:
            for stream in (mine, theirs, viewer):
                await frame(stream)
            first = await town.alert(audience={"people": ["staff"]})
            second = await town.alert(audience={"people": ["other"]})
            assert (await frame(mine))["alert"]["id"] == first
            assert (await frame(theirs))["alert"]["id"] == second
            assert [(await frame(viewer))["alert"]["id"] for _ in range(2)] == [first, second]

    async def test_a_test_to_oneself_is_heard_by_oneself_alone(self, town: Town) -> None:
        async with town.stream("staff") as mine, town.stream("admin") as admin:
            hello = await frame(mine)
            await frame(admin)
            await town.call("staff", "POST", "/me/test")
            assert (await frame(mine))["alert"]["kind"] == "test"
            real = await town.alert()
            assert (await frame(admin))["alert"]["id"] == real
        async with town.stream("admin", f"?after={hello['offset']}") as again:
            await frame(again)
            assert (await frame(again))["alert"]["id"] == real

    async def test_one_person_hears_it_on_every_connection(self, town: Town) -> None:
        async with town.stream("staff") as phone, town.stream("staff") as desk:
            for stream in (phone, desk):
                await frame(stream)
            alert = await town.alert()
            assert [(await frame(stream))["alert"]["id"] for stream in (phone, desk)] == [alert, alert]

    async def test_a_post_that_is_not_urgent_is_not_heard(self, town: Town) -> None:
        async with town.stream("staff") as stream:
            await frame(stream)
            await town.post(urgent=False, drill=None)
            alert = await town.alert()
            assert (await frame(stream))["alert"]["id"] == alert


class TestResuming:
    async def test_what_was_missed_is_told_once_and_in_order_and_hello_repeats_the_position(self, town: Town) -> None:
        async with town.stream("staff") as stream:
            hello = await frame(stream)
        missed = [await town.alert(title=f"{number}") for number in range(3)]
        query = f"?after={hello['offset']}&epoch={hello['epoch']}"
        async with town.stream("staff", query) as stream:
            assert await frame(stream) == hello
            heard = [await frame(stream) for _ in missed]
            assert [each["alert"]["id"] for each in heard] == missed
            live = await town.alert()
            assert (await frame(stream))["alert"]["id"] == live
        async with town.stream("staff", f"?after={heard[1]['offset']}") as stream:
            await frame(stream)
            assert [(await frame(stream))["alert"]["id"] for _ in range(2)] == [missed[2], live]

    async def test_whoever_never_was_here_starts_at_the_head(self, town: Town) -> None:
        await published(town)
        async with town.stream("staff") as stream:
            await frame(stream)
            alert = await town.alert()
            assert (await frame(stream))["alert"]["id"] == alert

    @pytest.mark.parametrize("query", ["?after=999999999", "?after=0&epoch=unknown", "?after=0&epoch=%00"])
    async def test_an_unknown_position_is_reset_and_then_live(self, town: Town, query: str) -> None:
        await published(town)
        with town.rt.store.read() as connection:
            head = instance.head(connection)
        async with town.stream("staff", query) as stream:
            assert await frame(stream) == {"type": "hello", "epoch": head.epoch, "offset": head.offset}
            assert await frame(stream) == {"type": "reset"}
            alert = await town.alert()
            assert (await frame(stream))["alert"]["id"] == alert

    async def test_a_position_that_only_another_process_knows_yet_is_none_of_the_future(
        self, open_site: Callable[..., Site], clock: Clock
    ) -> None:
        # Two processes on one store, which do not hear each other's bell.
        here, there = open_site(), open_site()
        async with Town(here) as town:
            async with town.stream("staff") as stream:
                await frame(stream)
            far = post(there.rt, BOSS, draft()).body["alert"]["id"]
            with there.rt.store.read() as connection:
                head = instance.head(connection)
            async with town.stream("staff", f"?after={head.offset}&epoch={head.epoch}") as stream:
                assert (await frame(stream))["offset"] == head.offset
                near = await town.alert()
                assert (await frame(stream))["alert"]["id"] == near != far

    @pytest.mark.parametrize("after", ["-1", "x", "1.5", "１", "1" * 19, "%00"])
    async def test_a_position_that_is_none_is_refused_in_words(self, town: Town, after: str) -> None:
        async with town.stream("staff", f"?after={after}") as stream:
            code, frames = await closing(stream)
        assert (code, frames[0]["code"]) == (1008, "invalid")

    async def test_nothing_is_missed_or_heard_twice_while_alerts_come_and_lines_break(self, town: Town) -> None:
        total, clients = 30, 6
        settle(town.rt, "staff2")
        async with town.stream("staff") as stream:
            hello = await frame(stream)

        async def write() -> None:
            for number in range(total):
                audience = {"people": ["staff"]} if number % 3 else {"people": ["viewer"]}
                await town.post(title=f"{number}", audience=audience)

        async def listen(client: int) -> list[tuple[int, str]]:
            heard: list[tuple[int, str]] = []
            position = hello["offset"]
            while len(heard) < total - total // 3:
                async with town.stream("staff", f"?after={position}&epoch={hello['epoch']}") as line:
                    assert (await frame(line))["offset"] == position
                    for _ in range(1 + (len(heard) * 7 + client) % 4):
                        if len(heard) == total - total // 3:
                            break
                        each = await frame(line)
                        position = each["offset"]
                        heard.append((position, each["alert"]["title"]))
            return heard

        writing = asyncio.create_task(write())
        results = await asyncio.gather(*map(listen, range(clients)))
        await writing
        for heard in results:
            assert [title for _, title in heard] == [str(number) for number in range(total) if number % 3]
            assert [offset for offset, _ in heard] == sorted({offset for offset, _ in heard})


async def narrow(town: Town) -> socket.socket:
    """A connected socket that takes in next to nothing before it is read."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.setblocking(False)
    parts = urlsplit(town.site.url)
    await asyncio.get_running_loop().sock_connect(line, (parts.hostname, parts.port))
    return line


class TestSlowReaders:
    async def test_one_that_does_not_read_is_let_go_holds_up_nobody_and_resumes_without_loss(self, town: Town) -> None:
        titles = [f"{number}" for number in range(110)]  # with their bodies more than the kernel and the hub hold
        heard: list[str] = []
        async with (
            town.stream("staff") as quick,
            town.stream("staff", sock=await narrow(town), max_queue=1) as slow,
        ):
            position = (await frame(quick))["offset"]
            await frame(slow)
            for title in titles:
                await town.post(title=title, body="文" * 20_000)
                assert (await frame(quick))["alert"]["title"] == title
            code, frames = await closing(slow)
        assert code in (4408, 1006), "told to come back, or cut when not even that was read"
        for each in frames:
            position = each["offset"]
            heard.append(each["alert"]["title"])
        assert 0 < len(heard) < len(titles)
        async with town.stream("staff", f"?after={position}") as again:
            await frame(again)
            heard += [(await frame(again))["alert"]["title"] for _ in titles[len(heard) :]]
        assert heard == titles

    async def test_a_past_longer_than_any_buffer_is_told_whole_to_whoever_reads(self, town: Town) -> None:
        async with town.stream("staff") as stream:
            hello = await frame(stream)
        total = 40
        for number in range(total):
            await town.post(title=f"{number}", body="文" * 20_000)
        async with town.stream("staff", f"?after={hello['offset']}", max_queue=1) as stream:
            await frame(stream)
            assert [(await frame(stream))["alert"]["title"] for _ in range(total)] == [f"{n}" for n in range(total)]


class TestAcknowledging:
    async def test_it_is_answered_once_it_is_kept(self, town: Town) -> None:
        alert = await town.alert(ask=ASK)
        async with town.stream("staff") as stream:
            answer = await acknowledge(stream, alert=alert, answer="safe", comment="家です", ref="r1")
            assert answer == {"type": "acknowledged", "alert": alert, "ref": "r1"}
            kept = (await town.call("viewer", "GET", f"/alerts/{alert}/recipients?state=acknowledged")).body["items"]
            assert [(each["person"]["id"], each["acknowledgement"]["way"]) for each in kept] == [("staff", "websocket")]
            assert (await acknowledge(stream, alert=alert))["type"] == "acknowledged"

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            ({"alert": "unknown"}, "not_found"),
            ({"alert": "\0"}, ("not_found", "invalid")),
            ({"alert": "ours", "answer": "perhaps"}, "invalid"),
            ({"alert": "ours", "answer": "\0"}, "invalid"),
            ({"alert": "ours", "comment": "a\0b"}, "invalid"),
            ({"alert": "theirs"}, "not_found"),
        ],
        ids=str,
    )
    async def test_what_cannot_be_kept_is_refused_and_the_line_stays(
        self, any_town: Town, sent: dict[str, str], code: str | tuple[str, ...]
    ) -> None:
        ids = {
            "ours": await any_town.alert(ask=ASK),
            "theirs": await any_town.alert(audience={"people": ["viewer"]}),
        }
        sent = {**sent, "alert": ids.get(sent["alert"], sent["alert"])}
        async with any_town.stream("staff") as stream:
            answer = await acknowledge(stream, ref="r", **sent)
            assert (answer["type"], answer["ref"]) == ("error", "r")
            assert answer["code"] in code
            assert (await acknowledge(stream, alert=ids["ours"]))["type"] == "acknowledged"

    @pytest.mark.parametrize(
        "sent",
        ["", "{", "[]", "null", '{"type": "hello"}', "[" * 16_000, '{"type":"ack","alert":"\\ud800","ref":"\\ud800"}',
         b"\0\1\2", b'{"type": "ack"}', '{"type": "ack", "alert": NaN}'],
    )  # fmt: skip
    async def test_a_frame_that_says_nothing_is_answered_and_the_line_stays(
        self, town: Town, sent: str | bytes
    ) -> None:
        async with town.stream("staff") as stream:
            await frame(stream)
            await stream.send(sent)
            answer = await frame(stream)
            assert (answer["type"], answer["code"] in ("malformed", "invalid", "unknown_type")) == ("error", True)
            alert = await town.alert()
            assert (await frame(stream))["alert"]["id"] == alert

    async def test_a_frame_beyond_any_size_ends_only_its_own_line(self, town: Town) -> None:
        async with town.stream("staff") as loud, town.stream("staff") as quiet:
            for stream in (loud, quiet):
                await frame(stream)
            await loud.send("x" * (FRAME_MAX + 1))
            assert (await closing(loud))[0] == 1009
            alert = await town.alert()
            assert (await frame(quiet))["alert"]["id"] == alert

    async def test_many_acknowledge_at_once_and_each_is_answered(self, town: Town) -> None:
        people = [f"p{number}" for number in range(20)]
        for person in people:
            town.move_in(person)
        alert = await town.alert()

        async def one(person: str) -> dict[str, Any]:
            async with town.stream(person) as stream:
                return await acknowledge(stream, alert=alert, ref=person)

        answers = await asyncio.gather(*map(one, people))
        assert [answer.get("ref") for answer in answers] == people
        assert watching.summarise(town.rt, alert)["acknowledged"] == 20


class TestWatching:
    async def test_a_watcher_sees_the_same_as_over_http_at_once_and_after_every_change(self, town: Town) -> None:
        alert = await town.alert(ask=ASK)
        async with town.stream("viewer", f"?watch={alert}") as stream:
            for count, who in enumerate((None, "staff", "manager")):
                if who:
                    await town.call(who, "POST", f"/alerts/{alert}/acknowledgements", {"answer": "safe"})
                seen = await frame(stream, "summary")
                told = (await town.call("viewer", "GET", f"/alerts/{alert}/summary")).body
                assert seen == {"type": "summary", "alert": alert, **told}
                assert told["acknowledged"] == count

    async def test_a_burst_of_answers_is_told_in_few_frames_the_last_of_which_is_right(self, town: Town) -> None:
        people = [f"p{number}" for number in range(40)]
        for person in people:
            town.move_in(person)
        alert = await town.alert()
        loop = asyncio.get_running_loop()
        seen: list[tuple[float, int]] = []
        async with town.stream("viewer", f"?watch={alert}") as stream:
            await frame(stream)

            async def answer() -> None:
                for person in people:
                    await town.call(person, "POST", f"/alerts/{alert}/acknowledgements", {})

            answering = asyncio.create_task(answer())
            while not seen or seen[-1][1] < len(people):
                each = await frame(stream, "summary")
                seen.append((loop.time(), each["acknowledged"]))
            await answering
        counts = [count for _, count in seen]
        assert counts == sorted(counts)
        assert counts[-1] == len(people)

    async def test_two_who_watch_see_the_same_in_the_end_whenever_they_came(self, town: Town) -> None:
        alert = await town.alert()
        path = f"/alerts/{alert}/acknowledgements"
        async with town.stream("viewer", f"?watch={alert}") as early:
            await frame(early, "summary")
            await town.call("staff", "POST", path, {})
            async with town.stream("manager", f"?watch={alert}") as late:
                await frame(late, "summary")
                await town.call("admin", "POST", path, {})
                for stream in (early, late):
                    while (await frame(stream, "summary"))["acknowledged"] < 2:
                        pass

    @pytest.mark.parametrize(("who", "watch", "code"), [
        ("staff", "ours", 4403), ("viewer", "unknown", 4403), ("viewer", "%00", 4403), ("viewer", "", 4403),
    ])  # fmt: skip
    async def test_only_an_alert_that_one_may_see_can_be_watched(
        self, any_town: Town, who: str, watch: str, code: int
    ) -> None:
        alert = await any_town.alert()
        async with any_town.stream(who, f"?watch={alert if watch == 'ours' else watch}") as stream:
            found, frames = await closing(stream)
        assert (found, frames[0]["type"]) == (code, "error")

    async def test_a_viewer_hears_alerts_beside_what_they_watch(self, town: Town) -> None:
        alert = await town.alert()
        town.move_in("viewer2", Role.VIEWER)
        async with town.stream("viewer2", f"?watch={alert}") as stream:
            await frame(stream, "summary")
            other = await town.alert(audience={"people": ["staff"]})
            while (await frame(stream, "alert"))["alert"]["id"] != other:
                pass
