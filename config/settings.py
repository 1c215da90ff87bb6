"""Settings: the environment over a TOML file over defaults, with every fault told at once.

A setting `NAME` is the variable `ALERTD_NAME`, or the key `name` in the file that `ALERTD_CONFIG` names. A secret can
stay in a file of its own: `ALERTD_NAME_FILE` (or `name_file`) names that. An empty value counts as none.
Channels declare settings of their own; those are collected here and judged by the channels.
"""

import difflib
import math
import os
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import time
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

PREFIX: Final = "ALERTD_"
_PROCESSES_MAX: Final = 16  # each takes memory and may hold 20 connections to the store

Fault = tuple[str, str]
Network = IPv4Network | IPv6Network

T = TypeVar("T")
D = TypeVar("D")


class SettingsError(Exception):
    """Everything that is wrong with the settings, as (name without prefix, what would be right)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(f"{PREFIX}{name}: {message}" for name, message in faults))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class MailListen:
    """Where mail is taken in, and whether by LMTP or by SMTP."""

    lmtp: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided, checked. Paths are absolute; what may be secret is not in the repr."""

    database_url: str = field(repr=False)
    """For SQLAlchemy: `sqlite:////absolute/path` or `postgresql+psycopg://…`."""
    redis_url: str | None = field(repr=False)
    """None stands for a private Redis."""
    data_dir: Path
    """It need not exist yet."""
    public_url: str | None
    """Scheme, host and perhaps a port, nothing behind; None stands for wherever this machine listens."""
    secret_key: str | None = field(repr=False)
    vapid_private_key: str | None = field(repr=False)
    """Unchecked: whoever reads the key pair judges it."""
    web_processes: int
    workers_per_channel: int
    tick_seconds: float
    trusted_proxies: tuple[Network, ...]
    organisation: str
    time_zone: ZoneInfo
    region: str
    """ISO 3166 code of two capital letters."""
    self_test: time | None
    """When the daily self-test goes out, in `time_zone`; None: never."""
    source_hosts: str
    """Which hosts sources may be asked at, beside those that are known: unchecked, as `host`, `*.host`, `host:port`."""
    webhook_hosts: str
    """Which hosts inside webhooks may lead to: unchecked, as `host:port`."""
    mail_listen: MailListen | None
    """None: no mail is taken in."""
    channels: Mapping[str, str] = field(repr=False)
    """The channels' own settings as far as they are set: unchecked, by name without prefix."""


NAMES: Final = frozenset(each.name.upper() for each in fields(Settings)) - {"CHANNELS"}
"""The settings that are judged here, without prefix."""


def load(
    environ: Mapping[str, str],
    channel_settings: Sequence[str],
    judge: Callable[[Settings], Sequence[Fault]] = lambda _settings: (),
) -> Settings:
    """The settings that `environ`, and the file it may name, ask for.

    `channel_settings` are the names, without prefix, of what the channels can be told; `judge` says what is wrong with
    them, and sees defaults where something else is wrong. Raises SettingsError with all faults together.
    """
    reader = _Reader(environ, NAMES.union(channel_settings))
    data_dir = reader.take("DATA_DIR", _directory, Path.cwd() / "var")
    channels = {name: reader.take(name, _text, None) for name in channel_settings}
    settings = Settings(
        database_url=reader.take("DATABASE_URL", _database_url, _sqlite_url(data_dir / "alertd.db")),
        redis_url=reader.take("REDIS_URL", _redis_url, None),
        data_dir=data_dir,
        public_url=reader.take("PUBLIC_URL", _public_url, None),
        secret_key=reader.take("SECRET_KEY", _secret_key, None),
        vapid_private_key=reader.take("VAPID_PRIVATE_KEY", _text, None),
        web_processes=reader.take("WEB_PROCESSES", _processes, 1),
        workers_per_channel=reader.take("WORKERS_PER_CHANNEL", _processes, 1),
        tick_seconds=reader.take("TICK_SECONDS", _tick_seconds, 1.0),
        trusted_proxies=reader.take("TRUSTED_PROXIES", _networks, ()),
        organisation=reader.take("ORGANISATION", _organisation, "alertd"),
        time_zone=reader.take("TIME_ZONE", _time_zone, None) or machine_zone(environ.get("TZ", "")),
        region=reader.take("REGION", _region, "JP"),
        self_test=reader.take("SELF_TEST", _time_of_day, time(10, 0)),
        source_hosts=reader.take("SOURCE_HOSTS", _text, ""),
        webhook_hosts=reader.take("WEBHOOK_HOSTS", _text, ""),
        mail_listen=reader.take("MAIL_LISTEN", _mail_listen, None),
        channels=MappingProxyType({name: value for name, value in channels.items() if value is not None}),
    )
    faults = [*reader.faults, *judge(settings)]
    if faults:
        raise SettingsError(faults)
    return settings


def machine_zone(tz: str, etc: Path = Path("/etc")) -> ZoneInfo:
    """The machine's time zone: what its `TZ` says, else what is set under `etc`, else UTC."""
    candidates = [tz.removeprefix(":").rpartition("/zoneinfo/")[2]]
    if offset := re.fullmatch(r"[A-Za-z]{3,}([+-]?)(\d{1,2})", tz):  # POSIX, as in JST-9; both count westwards
        candidates.append(f"Etc/GMT{offset[1] or '+'}{int(offset[2])}")
    candidates.append(os.path.realpath(etc / "localtime").rpartition("/zoneinfo/")[2])
    with suppress(OSError, UnicodeDecodeError):
        candidates.append((etc / "timezone").read_text("utf-8").strip())
    for candidate in candidates:
        if zone := _zone(candidate):
            return zone
    return ZoneInfo("UTC")


# Where values come from


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    base: Path  # what a relative path in the text starts from


class _Reader:
    """Takes one setting after the other and collects what is wrong."""

    def __init__(self, environ: Mapping[str, str], known: Collection[str]) -> None:
        self.faults: list[Fault] = []
        self._known = known
        variables = {name.removeprefix(PREFIX): text for name, text in environ.items() if name.startswith(PREFIX)}
        config = variables.pop("CONFIG", "")
        self._values = self._source(variables, Path.cwd(), lambda name: PREFIX + name, "")
        if config:
            path = Path.cwd() / config
            self._values = self._source(self._table(path), path.parent, str.lower, f" in {path}") | self._values

    def take(self, name: str, parse: Callable[[_Value], T], default: D) -> T | D:
        """The setting as `parse` reads it; the default where it is not set, or is wrong."""
        if name not in self._values:
            return default
        try:
            return parse(self._values[name])
        except ValueError as fault:
            self._fault(name, str(fault))
            return default

    def _fault(self, name: str, message: str) -> None:
        self.faults.append((name, message))

    def _source(
        self, texts: Mapping[str, str], base: Path, spelt: Callable[[str], str], where: str
    ) -> dict[str, _Value]:
        """The known settings among `texts`, secret files read. `spelt` is how this source writes a name."""
        values: dict[str, _Value] = {}
        for name, text in texts.items():
            setting = name if name in self._known else name.removesuffix("_FILE")
            if setting not in self._known:
                self._unknown(name, spelt, where)
            elif not text:
                continue
            elif name == setting:
                values[setting] = _Value(text, base)
            elif texts.get(setting):
                self._fault(setting, f"set either {spelt(setting)} or {spelt(name)}{where}, not both")
            elif secret := self._secret(name, base / text):
                values[setting] = _Value(secret, base)
        return values

    def _unknown(self, name: str, spelt: Callable[[str], str], where: str) -> None:
        choices = [*self._known, *(f"{known}_FILE" for known in self._known), "CONFIG"]
        close = difflib.get_close_matches(name.upper(), choices, n=1)
        hint = f"; did you mean {spelt(close[0])}?" if close else ""
        self._fault(name, f"there is no such setting{where}{hint}")

    def _secret(self, name: str, path: Path) -> str:
        text = self._read(name, path)
        if text is not None and not (text := text.removesuffix("\n").removesuffix("\r")):
            self._fault(name, f"{path} is empty; it should hold the value")
        return text or ""

    def _read(self, name: str, path: Path) -> str | None:
        try:
            return path.read_bytes().decode("utf-8")
        except OSError as fault:
            self._fault(name, f"name a file that can be read; {path}: {fault.strerror}")
        except ValueError:
            self._fault(name, f"name a file of UTF-8 text, not {path}")
        return None

    def _table(self, path: Path) -> dict[str, str]:
        """The file's keys with their values as the environment would write them."""
        texts: dict[str, str] = {}
        try:
            table = tomllib.loads(self._read("CONFIG", path) or "")
        except tomllib.TOMLDecodeError as fault:
            self._fault("CONFIG", f"{path} is not TOML: {fault}")
            return texts
        for key, value in table.items():
            items = value if isinstance(value, list) else [value]
            if key != key.lower():
                self._fault(key.upper(), f"in {path}, write {key} in small letters")
            elif all(isinstance(item, str | int | float) for item in items):
                texts[key.upper()] = ",".join(map(str, items))
            else:
                self._fault(key.upper(), f"in {path}, write text, a number, or a list of those")
        return texts


# What is right


def _text(value: _Value) -> str:
    return value.text


def _directory(value: _Value) -> Path:
    path = _path(value)
    if os.path.exists(path) and not os.path.isdir(path):
        raise ValueError(f"name a directory; {path} is something else")
    return path


def _path(value: _Value) -> Path:
    if not _printable(value.text):
        raise ValueError("name a path without control characters")
    return Path(os.path.abspath(value.base / value.text))


def _sqlite_url(path: Path) -> str:
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def _database_url(value: _Value) -> str:
    scheme, separator, rest = value.text.partition("://")
    if separator and scheme == "sqlite":
        if not rest.startswith("/") or "?" in rest or rest[1:] in ("", ":memory:"):
            raise ValueError("name a file, for all processes: sqlite:///relative/path or sqlite:////absolute/path")
        return _sqlite_url(_path(_Value(unquote(rest[1:]), value.base)))
    right = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in it percent-encoded (# is %23)"
    if separator and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        url = _split(value.text, right)
        if not re.fullmatch(r"/[^/]+", url.path) or "#" in rest:
            raise ValueError(f"write {right}")
        return f"postgresql+psycopg://{rest}"
    raise ValueError(f"write sqlite:///PATH or {right}")


def _redis_url(value: _Value) -> str:
    right = "redis://HOST:PORT/NUMBER, rediss://… for TLS, or unix:///PATH?db=NUMBER"
    url = _split(value.text, right)
    if url.scheme == "unix":
        fits = not url.netloc.rpartition("@")[2] and len(url.path) > 1
    else:
        fits = url.scheme in ("redis", "rediss") and bool(url.hostname) and bool(re.fullmatch(r"/?|/\d+", url.path))
    if not fits or url.fragment or not all(number.isdecimal() for number in parse_qs(url.query).get("db", [])):
        raise ValueError(f"write {right}")
    return value.text


def _public_url(value: _Value) -> str:
    right = "what people type to get here, as https://alerts.example.jp or http://192.0.2.7:8000"
    url = _split(value.text, right)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"write {right}")
    if not value.text.isascii():
        raise ValueError(f"write {right}; a name in other letters in its xn-- form")
    if url.path.strip("/") or "?" in value.text or "#" in value.text or "@" in url.netloc:
        raise ValueError(f"write {right}: no path, user, query or fragment")
    return f"{url.scheme}://{url.netloc.lower()}".removesuffix(":443" if url.scheme == "https" else ":80")


def _split(text: str, right: str) -> SplitResult:
    fault = ValueError(f"write {right}")
    if re.search(r"\s", text) or not _printable(text):  # urlsplit would drop some of these without a word
        raise fault
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise fault from None
    if port == 0:
        raise fault
    return url


def _secret_key(value: _Value) -> str:
    if len(value.text) < 32:
        raise ValueError("write at least 32 random characters, or leave it away: one is made on first start")
    return value.text


def _tick_seconds(value: _Value) -> float:
    try:
        seconds = float(value.text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 60:
        raise ValueError("write a number of seconds above 0, 60 at most")
    return seconds


def _processes(value: _Value) -> int:
    if not re.fullmatch(r"[1-9]\d?", value.text, re.ASCII) or int(value.text) > _PROCESSES_MAX:
        raise ValueError(f"write how many processes: a whole number, 1 to {_PROCESSES_MAX}")
    return int(value.text)


def _networks(value: _Value) -> tuple[Network, ...]:
    networks: list[Network] = []
    for text in re.split(r"[,\s]+", value.text.strip(", \t\n")):
        try:
            networks.append(ip_network(text))
        except ValueError as fault:
            raise ValueError(
                f"write addresses or networks such as 192.0.2.7 or 10.0.0.0/8, with commas; {fault}"
            ) from None
    return tuple(networks)


def _organisation(value: _Value) -> str:
    name = value.text.strip()
    if not 1 <= len(name) <= 40 or not _printable(name):
        raise ValueError("write a name of 1 to 40 characters on one line, without control characters")
    return name


def _time_zone(value: _Value) -> ZoneInfo:
    if zone := _zone(value.text):
        return zone
    raise ValueError("write the name of a time zone, such as Asia/Tokyo")


def _zone(key: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(key)
    except (ValueError, LookupError, OSError):  # a path, an unknown name, a directory
        return None


def _time_of_day(value: _Value) -> time | None:
    if value.text.lower() == "off":
        return None
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value.text, re.ASCII):
        raise ValueError("write a local time as 10:00, or off")
    return time.fromisoformat(value.text)


def _region(value: _Value) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", value.text):
        raise ValueError("write a country as two letters, such as JP")
    return value.text.upper()


def _mail_listen(value: _Value) -> MailListen:
    right = "lmtp://ADDRESS:PORT or smtp://ADDRESS:PORT, such as lmtp://127.0.0.1:8024"
    url = _split(value.text, right)
    if url.scheme not in ("lmtp", "smtp") or not url.hostname or not url.port or url.path.strip("/"):
        raise ValueError(f"write {right}")
    if url.query or url.fragment or "@" in url.netloc:
        raise ValueError(f"write {right}: no path, user, query or fragment")
    return MailListen(url.scheme == "lmtp", url.hostname, url.port)


def _printable(text: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
