"""What an alert says on each kind of channel: rendered once per (alert, language, form), then made personal.

A channel declares a `Budget`; its form decides the shape of the text:

- ``notification``: a title and a short body for a phone's screen, within a number of bytes;
- ``short``: one plain text within a number of SMS parts, which ends with the link;
- ``letter``: subject, plain text and HTML, each with exactly one link.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial
from html import escape
from typing import Final, Literal

from alertd.core.alert import Ask, Choice, Content, Language, Severity
from alertd.core.segments import count_segments, is_gsm

Form = Literal["notification", "short", "letter"]

LINK: Final = "\ue000"  # stands for the personal link until `Rendered.personal`; `render` takes it out of posts
TITLE_UNCUT: Final = 40  # characters of a title that every channel shows whole
_NOTIFICATION_TITLE: Final = 120


@dataclass(frozen=True, slots=True)
class Budget:
    """What a message on a channel must fit."""

    form: Form
    size: int  # notification: bytes of UTF-8 for title and body; short: SMS parts; letter: unused
    concurrency: int  # attempts at the same time in one worker
    invites_reply: bool = False  # short: say what to answer by SMS
    rate: float | None = None  # units a second that the provider takes (short: SMS parts; else messages); None: any
    pace: float | None = None  # units a second that it hands on, for telling when the last one is out; None: at once
    daily_parts: int | None = None  # SMS parts a day after which somebody is told; None: any number

    @property
    def counts_parts(self) -> bool:
        """Whether a message's units are SMS parts, of which it may take several; else each is one unit."""
        return self.form == "short"


@dataclass(frozen=True, slots=True)
class Button:
    """An answer that can be given in place. `answer` None is a plain acknowledgement."""

    answer: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Message:
    """What one person gets. `token` is the proof in `link`; whoever holds it may answer for that person."""

    alert_id: str
    revision: int
    language: Language
    severity: Severity
    drill: bool
    title: str
    text: str
    html: str
    buttons: tuple[Button, ...]
    sent_at: datetime
    link: str
    token: str
    beacon: str = ""  # where a phone that shows this message says so


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message before it is personal: `text` and `html` still hold `LINK`."""

    content: Content
    language: Language
    title: str
    text: str
    html: str
    buttons: tuple[Button, ...]

    def personal(self, link: str, token: str, beacon: str = "") -> Message:
        return Message(
            alert_id=self.content.alert_id,
            revision=self.content.revision,
            language=self.language,
            severity=self.content.severity,
            drill=self.content.drill,
            title=self.title,
            text=self.text.replace(LINK, link),
            html=self.html.replace(LINK, escape(link, quote=True)),
            buttons=self.buttons,
            sent_at=self.content.sent_at,
            link=link,
            token=token,
            beacon=beacon,
        )


_WORDS: Final[dict[Language, dict[str, str]]] = {
    "ja": {
        "confirm": "確認しました",
        "reply": "返信",
        "reply_confirm": "確認",
        "between": ": ",
        "from": "発信",
        "severity": "重大度",
        "sent": "発信時刻",
        "until": "回答期限",
        "open": "開いて回答する",
        "open_text": "下のリンクを開いて回答してください。",
        "open_over": "開いて確認する",
        "open_over_text": "下のリンクから内容を確認できます。回答は不要です。",
        "drill": "これは訓練です。",
        "personal": "このリンクはあなた専用です。転送しないでください。",
        "extreme": "緊急",
        "severe": "重大",
        "moderate": "中程度",
        "minor": "軽微",
        "unknown": "不明",
    },
    "en": {
        "confirm": "I have seen this",
        "reply": "Reply",
        "reply_confirm": "seen",
        "between": ": ",
        "from": "From",
        "severity": "Severity",
        "sent": "Sent",
        "until": "Answer by",
        "open": "Open and answer",
        "open_text": "Open the link below to answer.",
        "open_over": "Open",
        "open_over_text": "You can read it behind the link below. No answer is needed.",
        "drill": "This is a drill.",
        "personal": "This link is yours alone. Do not forward it.",
        "extreme": "Extreme",
        "severe": "Severe",
        "moderate": "Moderate",
        "minor": "Minor",
        "unknown": "Unknown",
    },
}


def severity_word(severity: Severity, language: Language) -> str:
    return _WORDS[language][severity]


def link_label(message: Message) -> str:
    """What stands on a message's link where it is not written out: whoever is asked nothing is not told to answer."""
    return _WORDS[message.language]["open" if message.buttons else "open_over"]


def warning_of_link(message: Message) -> str:
    """That the link is not to be passed on."""
    return _WORDS[message.language]["personal"]


def buttons_for(content: Content, language: Language) -> tuple[Button, ...]:
    """The answers that an alert offers, in order; whoever is told that it is over is asked nothing."""
    if content.revision_kind == "cancel":
        return ()
    if content.ask is None:
        return (Button(None, _WORDS[language]["confirm"]),)
    return tuple(Button(choice.id, choice.label) for choice in content.ask.choices)


def render(content: Content, language: Language, budget: Budget, *, link_length: int, zone: tzinfo) -> Rendered:
    """`content` in `language`, within `budget`; `link_length` is the length of the link that will take LINK's place."""
    content = _clean(content)
    title = content.headline(language)
    html = ""
    if budget.form == "short":
        text = _short(content, language, budget, link_length)
    elif budget.form == "notification":
        title, text = _notification(content, language, budget.size)
    else:
        text = _letter_text(content, language, zone)
        html = _letter_html(content, language, zone)
    return Rendered(content, language, title, text, html, buttons_for(content, language))


def short_segments(rendered: Rendered, link_length: int) -> int:
    """How many SMS parts each recipient's copy takes, known before anything is sent."""
    return count_segments(rendered.text.replace(LINK, "x" * link_length))


# A personal link is cut for nobody, so it takes its full length out of the budget before any word does.


def _short(content: Content, language: Language, budget: Budget, link_length: int) -> str:
    title = content.headline(language)
    speaker = content.organisation
    body = " ".join(content.body.split())
    replies = _ask_lines(content, _reply_lines(content, language) if _takes_reply(content, budget) else ("",))

    def assemble(head: str, reply: str, body: str = "") -> str:
        return "\n".join(part for part in (head, body, reply, LINK) if part)

    def fits(text: str) -> bool:
        return count_segments(text.replace(LINK, "x" * link_length)) <= budget.size

    named = _speak(content, language, speaker, title)
    # What is given up first: the body, then the wording of the choices, then the question, then the sender's name, then
    # the title's tail.
    for reply in replies:
        if fits(assemble(named, reply)):
            return _longest(body, partial(assemble, named, reply), fits)
    reply = replies[-1]
    if fits(assemble(title, reply)):
        return assemble(title, reply)
    mark_length = len(title) - len(" ".join(content.title.split()))
    keep = mark_length + TITLE_UNCUT
    return _longest(title, lambda cut: assemble(cut, reply), fits, at_least=keep)


def _takes_reply(content: Content, budget: Budget) -> bool:
    # An answer to an alert that is over would be taken for one to another alert that is not.
    return budget.invites_reply and content.revision_kind != "cancel"


def _ask_lines(content: Content, replies: tuple[str, ...]) -> tuple[str, ...]:
    """The question with each wording of what to reply; at last without the question."""
    if content.ask is None:
        return replies
    question = " ".join(content.ask.question.split())
    return (*("\n".join(part for part in (question, reply) if part) for reply in replies), replies[-1])


def _speak(content: Content, language: Language, speaker: str, title: str) -> str:
    """The title with the sender's name, the drill mark still first."""
    if not speaker:
        return title
    bare = " ".join(content.title.split())
    if title.endswith(bare) and title != bare:
        return f"{title[: len(title) - len(bare)]}{speaker}{_WORDS[language]['between']}{bare}"
    if content.drill:
        return title
    return f"{speaker}{_WORDS[language]['between']}{title}"


def _reply_lines(content: Content, language: Language) -> tuple[str, ...]:
    """What to reply, the fullest wording first."""
    words = _WORDS[language]
    if content.ask is None:
        return (f"{words['reply']} 1={words['reply_confirm']}",)
    choices = content.ask.choices
    full = " ".join(f"{number}={choice.label}" for number, choice in enumerate(choices, 1))
    brief = " ".join(f"{number}={choice.label[:6]}" for number, choice in enumerate(choices, 1))
    bare = "1" if len(choices) == 1 else f"1-{len(choices)}"
    return tuple(f"{words['reply']} {wording}" for wording in (full, brief, bare))


def _notification(content: Content, language: Language, size: int) -> tuple[str, str]:
    title = content.headline(language)
    if len(title) > _NOTIFICATION_TITLE:
        title = title[: _NOTIFICATION_TITLE - 1] + "…"
    speaker = content.organisation
    question = f"\n{content.ask.question.strip()}" if content.ask else ""
    head = f"{speaker}\n" if speaker else ""
    room = size - len(title.encode())

    def assemble(cut: str) -> str:
        return f"{head}{cut}{question}".strip()

    return title, _longest(content.body.strip(), assemble, lambda text: len(text.encode()) <= room)


def _letter_facts(content: Content, language: Language, zone: tzinfo) -> list[tuple[str, str]]:
    words = _WORDS[language]
    facts = [(words["from"], content.organisation)] if content.organisation else []
    return [
        *facts,
        (words["severity"], words[content.severity]),
        (words["sent"], _moment(content.sent_at, zone)),
        *([(words["until"], _moment(content.expires_at, zone))] if content.revision_kind != "cancel" else []),
    ]


def _open_key(content: Content) -> str:
    return "open_over" if content.revision_kind == "cancel" else "open"


def _letter_text(content: Content, language: Language, zone: tzinfo) -> str:
    words = _WORDS[language]
    lines = [content.headline(language), ""]
    if content.drill:
        lines += [words["drill"], ""]
    lines += [content.body.strip(), ""]
    lines += [f"{name}: {value}" for name, value in _letter_facts(content, language, zone)]
    lines.append("")
    if content.ask:
        lines.append(content.ask.question.strip())
        lines += [f"  {number}. {choice.label}" for number, choice in enumerate(content.ask.choices, 1)]
        lines.append("")
    lines += [words[f"{_open_key(content)}_text"], LINK, "", words["personal"], ""]
    return "\n".join(lines)


def _letter_html(content: Content, language: Language, zone: tzinfo) -> str:
    words = _WORDS[language]
    paragraphs = "".join(
        f"<p>{'<br>'.join(escape(line) for line in block.splitlines())}</p>"
        for block in content.body.strip().split("\n\n")
        if block.strip()
    )
    facts = "".join(
        f"<tr><th align='left' style='padding-right:12px'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in _letter_facts(content, language, zone)
    )
    ask = ""
    if content.ask:
        items = "".join(f"<li>{escape(choice.label)}</li>" for choice in content.ask.choices)
        ask = f"<p><strong>{escape(content.ask.question)}</strong></p><ol>{items}</ol>"
    drill = f"<p><strong>{words['drill']}</strong></p>" if content.drill else ""
    button = (
        "display:inline-block;padding:14px 24px;background:#0b57d0;color:#ffffff;"
        "font-weight:bold;font-size:18px;text-decoration:none;border-radius:8px"
    )
    return (
        f"<!doctype html><html lang='{language}'><head><meta charset='utf-8'>"
        f"<title>{escape(content.headline(language))}</title></head>"
        "<body style='font-family:sans-serif;font-size:16px;line-height:1.6;color:#111111'>"
        f"<h1 style='font-size:22px'>{escape(content.headline(language))}</h1>{drill}{paragraphs}{ask}"
        f"<p><a href='{LINK}' style='{button}'>{words[_open_key(content)]}</a></p>"
        f"<table style='font-size:14px'>{facts}</table><p style='font-size:13px;color:#555555'>{words['personal']}</p>"
        "</body></html>"
    )


def _moment(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _clean(content: Content) -> Content:
    """`content` with nothing in it that could be taken for the link's place."""

    def clean(text: str) -> str:
        return text.replace(LINK, "\ufffd")

    ask = content.ask
    if ask is not None:
        ask = Ask(clean(ask.question), tuple(Choice(choice.id, clean(choice.label)) for choice in ask.choices))
    return replace(
        content, organisation=clean(content.organisation), title=clean(content.title), body=clean(content.body), ask=ask
    )


def _longest(text: str, assemble: Callable[[str], str], fits: Callable[[str], bool], *, at_least: int = 0) -> str:
    """`assemble` of the longest beginning of `text` that `fits`, marked where it was cut; `at_least` is kept anyway."""
    if fits(assemble(text)):
        return assemble(text)
    low, high = at_least, max(len(text) - 1, at_least)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(assemble(_cut(text, middle))) else (low, middle - 1)
    return assemble(_cut(text, low))


def _cut(text: str, length: int) -> str:
    if length >= len(text):
        return text
    if not length:
        return ""
    # An ellipsis character would turn a 7-bit SMS into UCS-2 and cost half of its room.
    return text[:length].rstrip() + ("..." if is_gsm(text[:length]) else "…")
