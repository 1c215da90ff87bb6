"""What providers tell us: receipts and replies, each signed on the public URL."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alertd.core.acknowledgement import Candidate
from alertd.core.errors import Forbidden, NotFound
from alertd.service.acknowledging import Understood, remember_reply, repeated_reply, understand_reply
from alertd.service.directory import address_hash
from alertd.service.reaching import receive_receipts
from alertd.web.bodies import read_form
from alertd.web.context import Web, in_thread, web_of
from alertd.web.endpoints import Other
from channels.base import Channel, Inbound, Receipts, Replies, SignatureError

T = TypeVar("T")

_TWILIO: Final = "sms"

_SAID: Final = {
    "ja": {
        "kept": "{title}\n回答を受け付けました。",
        "kept_answer": "{title}\n「{answer}」と受け付けました。",
        "nothing-open": "回答できる通知はありません。",
        "unclear": "読み取れませんでした。番号だけを返信してください。",
        "which": "どの通知への回答かわかりません。上のように返信してください。",
        "plain": "確認",
    },
    "en": {
        "kept": "{title}\nYour answer was received.",
        "kept_answer": "{title}\nReceived: “{answer}”.",
        "nothing-open": "There is nothing to answer now.",
        "unclear": "Not understood. Reply with the number only.",
        "which": "Several alerts are open. Reply as shown above.",
        "plain": "seen",
    },
}


def _accounts(web: Web) -> list[Channel]:
    """The first account and perhaps the second: a call may come from either."""
    return [channels[_TWILIO] for channels in (web.channels, web.seconds) if _TWILIO in channels]


def _first_signed(read: Sequence[Callable[[], T]]) -> T:
    """What the first account says whose signature this is. Raises NotFound without any account, Forbidden."""
    if not read:
        raise NotFound("SMS is not set up here")
    for each in read:
        with suppress(SignatureError):
            return each()
    raise Forbidden("the signature is missing or not right")


def _public(request: Request) -> str:
    """The URL that the provider called and signed: behind a proxy ours looks different."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{web_of(request).rt.public_url}{request.url.path}{query}"


async def twilio_status(request: Request) -> Response:
    """Late news of a message. Unknown ones are kept and answered with success: they may be early."""
    web, form = web_of(request), await read_form(request)
    accounts = [each for each in _accounts(web) if isinstance(each, Receipts)]
    call = (_public(request), request.headers, form)
    receipts = _first_signed([partial(account.parse_receipts, *call) for account in accounts])
    await in_thread(lambda: receive_receipts(web.rt, _TWILIO, receipts))
    return Response(status_code=204)


async def twilio_inbound(request: Request) -> Response:
    """A person's reply by SMS: kept before it is answered, asked back about where it is not clear."""
    web, form = web_of(request), await read_form(request)
    accounts = [each for each in _accounts(web) if isinstance(each, Replies)]
    call = (_public(request), request.headers, form)
    inbound = _first_signed([partial(account.parse_reply, *call) for account in accounts])
    # Twilio sends the answer from the account that asks for it: what it looks like is the same for all.
    media, body = accounts[0].render_answer(await _answer_to(web, _TWILIO, inbound))
    return Response(body, media_type=media)


async def _answer_to(web: Web, channel: str, inbound: Inbound) -> str:
    """What to write back, after whatever the reply says is kept; a message that comes again changes nothing."""
    message_id = inbound.message_id
    if message_id is not None:
        earlier = await in_thread(lambda: repeated_reply(web.rt, channel, message_id))
        if earlier is not None:
            return earlier
    sender = address_hash({"phone": inbound.sender})
    understood = await in_thread(lambda: understand_reply(web.rt, channel, sender, inbound.text))
    if understood.wish is not None:
        await web.acknowledgements.submit(understood.wish)
    answer = _answer(understood)
    if message_id is not None:
        await in_thread(lambda: remember_reply(web.rt, channel, message_id, answer))
    return answer


def _answer(understood: Understood) -> str:
    said = _SAID["en" if understood.language == "en" else "ja"]
    if understood.wish is not None:
        candidate = understood.candidates[0]
        choice = candidate.ask.choice(understood.wish.answer or "") if candidate.ask else None
        if choice is not None:
            return said["kept_answer"].format(answer=choice.label, title=candidate.title)
        return said["kept"].format(title=candidate.title)
    problem = said[understood.problem or "unclear"]
    # The titles first: where one is a drill's, its mark stands in front of the text.
    return "\n".join([*_examples(understood.candidates, said), problem])


def _examples(candidates: Sequence[Candidate], said: dict[str, str]) -> list[str]:
    lines = []
    for candidate in candidates:
        code = candidate.code if len(candidates) > 1 else ""
        lines.append(f"{candidate.title} ({candidate.person})" if code else candidate.title)
        choices = [choice.label for choice in candidate.ask.choices] if candidate.ask else [said["plain"]]
        lines += [f"  {' '.join((str(number), code)).strip()} = {label}" for number, label in enumerate(choices, 1)]
    return lines


_FORM: Final = "application/x-www-form-urlencoded"
_SIGNED: Final = (403, "the signature is missing or not right")
OTHERS: Final = (
    Other("POST", "/hooks/twilio/status", "Twilio's status callback", ((204, "taken"), _SIGNED), _FORM),
    Other("POST", "/hooks/twilio/inbound", "A reply by SMS", ((200, "TwiML"), _SIGNED), _FORM),
)
routes: Final = [
    Route("/hooks/twilio/status", twilio_status, methods=["POST"]),
    Route("/hooks/twilio/inbound", twilio_inbound, methods=["POST"]),
]
