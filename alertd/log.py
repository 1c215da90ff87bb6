"""Structured logs: one JSON object a line, without anything by which a person could be reached or impersonated."""

import logging
import re
import sys
from types import TracebackType
from typing import Final

from pythonjsonlogger.json import JsonFormatter

# The last line of defence: no message is written with these on purpose, but exceptions quote what they were given.
_SECRETS: Final = (
    # First: there may be what looks like a mail address in it.
    (re.compile(r"https?://[^\s\"'<>]*/(?:workflows|webhookb2)/[^\s\"'<>]*"), "<webhook>"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*"), "<address>"),
    (re.compile(r"(?<![\w.:-])\+\d[\d -]{7,}\d"), "<phone>"),
    (re.compile(r"(?<=/a/)[\w-]+|(?<=/sign-in/)[\w-]+"), "<token>"),
    (re.compile(r"(?i)(?<=bearer[ .])[\w.~+/=-]+"), "<token>"),
    (re.compile(r"https?://[^\s\"'<>]*/(?:wpush|fcm/send|push|wns)/[^\s\"'<>]*"), "<endpoint>"),
    (re.compile(r"\bxox[a-z](?:\.xox[a-z])?-[\w.%-]+"), "<token>"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "<credentials>"),
)


def redact(text: str) -> str:
    """`text` without mail addresses, phone numbers, tokens, push endpoints, webhooks and credentials in URLs."""
    for pattern, name in _SECRETS:
        text = pattern.sub(name, text)
    return text


class _Formatter(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger(__name__).critical("this process ends", exc_info=(kind, error, trace))


def configure(role: str, level: int = logging.INFO) -> None:
    """Log to standard error as `role`, everything through the root logger."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Formatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            static_fields={"role": role},
            json_ensure_ascii=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    sys.excepthook = _log_uncaught
    for chatty in ("twilio.http_client", "aiohttp.access", "rq", "alembic", "uvicorn.error", "mail.log"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
