"""Root of the command line: `alertd …`."""

import argparse
import getpass
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from alertd import __version__, doctor, log
from alertd.compose import DEFAULT_PORT, Parts, compose, read_settings
from alertd.core.alert import DEFAULT_SEVERITY, SEVERITIES, Language
from alertd.core.audience import Audience
from alertd.core.errors import Fault, StoreUnavailable
from alertd.core.ids import make_id
from alertd.core.roles import Role
from alertd.private_redis import take_lock
from alertd.serve import Roles, child_environment, run_roles
from alertd.service import access, directory, importing, posting, rehearsal, replaying
from alertd.service.access import system_actor
from alertd.service.installation import find_public_url, restored
from alertd.service.replay_words import worded
from alertd.service.rule_book import parse_book
from alertd.sources.base import Unreadable
from alertd.sources.certificates import read_certificates
from alertd.store.migrate import NewerStore
from alertd.supervisor import CannotStart
from channels.registry import KINDS
from config.settings import Settings, SettingsError

_SHELL: Final = "system"  # who posts from a shell, unless --person says otherwise
_WEB_SECONDS: Final = 30.0
_REFUSED: Final = 1
_MISUSED: Final = 2

_Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0 done, 1 refused, 2 misused or wrongly configured."""
    parsed = _parser().parse_args(arguments)
    try:
        environ = dict(os.environ)
        if getattr(parsed, "data", None):
            environ["ALERTD_DATA_DIR"] = parsed.data
        command: Command = parsed.command
        return command(parsed, read_settings(environ))
    except SettingsError as error:
        return _fail("alertd cannot start with these settings:\n" + str(error), _MISUSED)
    except Fault as fault:
        lines = [f"  {field}: {message}" for field, message in fault.details] or [f"  {fault.message}"]
        return _fail("refused:\n" + "\n".join(lines), _REFUSED)
    except (CannotStart, NewerStore, StoreUnavailable) as error:
        return _fail(str(error), _REFUSED)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    lock = take_lock(settings.data_dir / "serve.lock")
    if lock is None:
        raise CannotStart(f"another alertd serve runs on {settings.data_dir}: stop it, or give this one --data")
    with lock:
        return _run(arguments, settings, Roles(web=True, clock=True, poller=True, channels=KINDS, incoming=True))


def _web(arguments: argparse.Namespace, settings: Settings) -> int:
    return _run(arguments, settings, Roles(web=True))


def _worker(arguments: argparse.Namespace, settings: Settings) -> int:
    return _run(arguments, settings, Roles(channels=tuple(arguments.channel or KINDS)))


def _clock(arguments: argparse.Namespace, settings: Settings) -> int:
    return _run(arguments, settings, Roles(clock=True))


def _poller(arguments: argparse.Namespace, settings: Settings) -> int:
    return _run(arguments, settings, Roles(poller=True))


def _incoming(arguments: argparse.Namespace, settings: Settings) -> int:
    if settings.mail_listen is None:
        raise CannotStart("nobody knows where to listen: set ALERTD_MAIL_LISTEN, such as lmtp://127.0.0.1:8024")
    return _run(arguments, settings, Roles(incoming=True))


def _run(arguments: argparse.Namespace, settings: Settings, roles: Roles) -> int:
    log.configure("supervisor")
    host, port = getattr(arguments, "host", ""), getattr(arguments, "port", 0)
    parts = compose(settings)
    absent = [channel for channel in getattr(arguments, "channel", None) or () if channel not in parts.channels]
    roles = replace(roles, channels=tuple(channel for channel in roles.channels if channel in parts.channels))
    if absent:
        parts.close()
        raise CannotStart(f"{absent[0]} is not set up here: see config/alertd.example.toml")
    if roles.channels:
        _release(parts, roles.channels)
    if not roles.web and (roles.channels or roles.clock or roles.poller):
        _wait_for_public_url(parts)
    parts.close()
    os.environ.update(child_environment(os.environ, settings))

    def ready(url: str) -> None:
        print(f"alertd {__version__} serves {url} (data in {settings.data_dir})", flush=True)

    run_roles(roles, settings, _new_id, host, port, ready)
    return 0


def _wait_for_public_url(parts: Parts) -> None:
    """Links need an address: the setting, or what a web process has left in the store. Raises CannotStart."""
    ends_at = time.monotonic() + _WEB_SECONDS
    while parts.settings.public_url is None and find_public_url(parts.rt.store) is None:
        if time.monotonic() > ends_at:
            raise CannotStart(
                "nobody knows what links should lead to: set ALERTD_PUBLIC_URL, or start alertd web first"
            )
        time.sleep(0.2)


def _release(parts: Parts, channels: Sequence[str]) -> None:
    """What a wrong setting had held is tried again: somebody has started us, perhaps with the right one."""
    released = posting.release_held(parts.rt, channels)
    if released:
        print(f"{released} held deliveries are tried again", file=sys.stderr)


def _migrate(_arguments: argparse.Namespace, settings: Settings) -> int:
    compose(settings).close()
    print("the store is at this version")
    return 0


def _doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    log.configure("shell", level=logging.CRITICAL)  # what is wrong is told in the findings
    findings = doctor.check_up(settings)
    print(doctor.as_json(findings) if arguments.json else doctor.as_text(findings, _language()))
    return _REFUSED if any(finding.level == "fault" for finding in findings) else 0


def _people_import(arguments: argparse.Namespace, settings: Settings) -> int:
    try:
        raw = Path(arguments.file).read_bytes()
    except OSError as error:
        return _fail(f"cannot read {arguments.file}: {error.strerror}", _MISUSED)
    text = importing.decode(raw)
    with _Parts(settings) as parts:
        actor = system_actor(_SHELL)
        # What will change is shown before it does.
        report = importing.import_people(parts.rt, actor, text, dry_run=True)
        if not arguments.json:
            _print_report(report)
        if not report.errors and not arguments.dry_run:
            report = importing.import_people(parts.rt, actor, text, dry_run=False)
    if arguments.json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    elif report.applied:
        print("done")
    elif report.errors:
        print("nothing was changed: mend these rows and import again", file=sys.stderr)
    return _REFUSED if report.errors else 0


def _print_report(report: importing.Report) -> None:
    for person_id in report.made:
        print(f"+ {person_id}")
    for person_id, fields in report.changed.items():
        print(f"~ {person_id}: {', '.join(fields)}")
    print(f"{len(report.made)} new, {len(report.changed)} changed, {report.unchanged} as before")
    for row, field, message in report.errors:
        print(f"row {row}: {field}: {message}", file=sys.stderr)


def _token_create(arguments: argparse.Namespace, settings: Settings) -> int:
    with _Parts(settings) as parts:
        issued = access.create_token(parts.rt, system_actor(_SHELL), arguments.person, Role.parse(arguments.role))
    answer = {"id": issued.id, "token": issued.secret, "person": arguments.person, "role": arguments.role}
    print(json.dumps(answer) if arguments.json else issued.secret)
    return 0


def _token_revoke(arguments: argparse.Namespace, settings: Settings) -> int:
    with _Parts(settings) as parts:
        access.revoke_token(parts.rt, system_actor(_SHELL), arguments.id)
    return 0


def _person_role(arguments: argparse.Namespace, settings: Settings) -> int:
    with _Parts(settings) as parts:
        access.set_role(parts.rt, system_actor(_SHELL), arguments.person, Role.parse(arguments.role))
    return 0


def _restored(_arguments: argparse.Namespace, settings: Settings) -> int:
    with _Parts(settings) as parts:
        restored(parts.rt)
    print("every live stream starts anew; restart the web processes")
    return 0


def _link_create(arguments: argparse.Namespace, settings: Settings) -> int:
    with _Parts(settings) as parts:
        issued = access.create_link(parts.rt, system_actor(_SHELL), arguments.person)
        url = f"{parts.rt.public_url}/sign-in/{issued.secret}"
    print(json.dumps({"id": issued.id, "url": url, "person": arguments.person}) if arguments.json else url)
    return 0


def _password_set(arguments: argparse.Namespace, settings: Settings) -> int:
    password = getpass.getpass("new password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with _Parts(settings) as parts:
        access.set_password(parts.rt, system_actor(_SHELL), arguments.person, password)
    return 0


def _post(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.urgent and arguments.drill is None:
        return _fail("an urgent post must say what it is: add --real or --drill", _MISUSED)
    if not arguments.urgent and arguments.drill is not None:
        return _fail("--real and --drill are for an urgent post: add --urgent, or leave them out", _MISUSED)
    named = bool(arguments.group or arguments.to)
    audience = Audience(everyone=not named, groups=tuple(arguments.group or ()), people=tuple(arguments.to or ()))
    with _Parts(settings) as parts:
        if arguments.person == _SHELL:
            directory.ensure_system_person(parts.rt, _SHELL)
        draft = posting.Draft(
            board=arguments.board,
            title=arguments.title,
            body=sys.stdin.read() if arguments.body == "-" else arguments.body,
            urgent=arguments.urgent,
            audience=audience,
            drill=arguments.drill,
            severity=arguments.severity,
        )
        posted = posting.post(parts.rt, system_actor(arguments.person), draft, arguments.key)
    if arguments.json:
        print(json.dumps(posted.body, ensure_ascii=False))
    elif posted.body["alert"]:
        for channel, lack in parts.rt.missing.items():
            print(f"warning: {channel} is not set up, what goes over it is held: {lack}", file=sys.stderr)
        alert = posted.body["alert"]
        print(f"alert {alert['id']} to {alert['recipients']} people ({'drill' if alert['drill'] else 'REAL'})")
    else:
        print(f"post {posted.body['post']['id']}")
    return 0


def _rules_test(arguments: argparse.Namespace, settings: Settings) -> int:
    """Needs no installation: what would happen is decided by the rules alone."""
    try:
        text = Path(arguments.rules).read_text()
        book = parse_book(text)
        files = [(name, Path(name).read_bytes()) for name in arguments.files]
        trusted = read_certificates(Path(arguments.certificates).read_text()) if arguments.certificates else ()
    except Unreadable as error:
        return _fail(f"{arguments.certificates}: {error.message}", _MISUSED)
    except OSError as error:
        return _fail(f"cannot read {error.filename}: {error.strerror}", _MISUSED)
    except UnicodeDecodeError:
        return _fail(f"cannot read {arguments.rules}: it is not UTF-8", _MISUSED)
    tried = rehearsal.play(book, files, arguments.source, trusted, zone=settings.time_zone)
    if arguments.json:
        print(json.dumps([each.as_json() for each in tried], ensure_ascii=False))
    else:
        language = _language()
        print(
            "\n".join(each.worded(language) for each in tried)
            or f"{len(book.rules)} rules, and nothing wrong with them"
        )
    return _REFUSED if any(each.fault for each in tried) else 0


def _rules_replay(arguments: argparse.Namespace, settings: Settings) -> int:
    try:
        text = Path(arguments.rules).read_text() if arguments.rules else None
        files = [(name, Path(name).read_bytes()) for name in arguments.files]
    except OSError as error:
        return _fail(f"cannot read {error.filename}: {error.strerror}", _MISUSED)
    except UnicodeDecodeError:
        return _fail(f"cannot read {arguments.rules}: it is not UTF-8", _MISUSED)
    with _Parts(settings) as parts:
        rt, given = parts.rt, {"text": text, "source": arguments.source}
        days = replaying.span(rt, arguments.first, arguments.last)
        if files:
            is_bounded = arguments.first or arguments.last
            report = replaying.replay_files(rt, days if is_bounded else None, files, **given)
        else:
            report = replaying.replay(rt, days, **given)
        print(json.dumps(report, ensure_ascii=False) if arguments.json else worded(report, _language(), rt.zone))
    return _REFUSED if report["faults"] else 0


def _language() -> Language:
    return "ja" if os.environ.get("LANG", "").startswith("ja") else "en"


def _vapid(arguments: argparse.Namespace, settings: Settings) -> int:
    with _Parts(settings) as parts:
        answer = {"public_key": parts.vapid.public_key}
        if arguments.private:
            answer["private_key"] = parts.vapid.private_key
    print(json.dumps(answer) if arguments.json else "\n".join(f"{name}: {key}" for name, key in answer.items()))
    return 0


class _Parts:
    """The installation for the length of one command."""

    def __init__(self, settings: Settings) -> None:
        log.configure("shell", level=logging.WARNING)
        self._parts = compose(settings)

    def __enter__(self) -> Parts:
        return self._parts

    def __exit__(self, *_error: object) -> None:
        self._parts.close()


def _new_id() -> str:
    return make_id(datetime.now(UTC), os.urandom(10))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alertd", description="An urgent post reaches every member of staff.")
    parser.add_argument("--version", action="version", version=f"alertd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str, within: _Subcommands = commands) -> argparse.ArgumentParser:
        made = within.add_parser(name, help=text, description=text)
        made.set_defaults(command=command)
        made.add_argument("--data", metavar="DIR", help="the data directory (ALERTD_DATA_DIR)")
        return made

    def family(name: str, text: str) -> _Subcommands:
        return commands.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")

    for name, run, text in (
        ("serve", _serve, "run everything on this machine"),
        ("web", _web, "run the web role alone"),
    ):
        made = add(name, run, text)
        made.add_argument("--host", default="127.0.0.1")
        made.add_argument("--port", type=_port, default=DEFAULT_PORT)
    worker = add("worker", _worker, "run the workers alone")
    worker.add_argument("--channel", action="append", choices=KINDS, help="only this one (may be repeated)")
    add("clock", _clock, "run the clock alone")
    add("poller", _poller, "run the poller alone, which asks the sources that do not tell by themselves")
    add("incoming", _incoming, "take mail in: what could not be delivered, and what sources write")
    add("migrate", _migrate, "bring the store to this version")
    made = add("doctor", _doctor, "check every part that an alert would need, and change nothing")
    made.add_argument("--json", action="store_true")

    people = family("people", "people")
    made = add("import", _people_import, "take people in from a CSV file", people)
    made.add_argument("file", metavar="FILE.csv")
    made.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    made.add_argument("--json", action="store_true")

    token = family("token", "bearer tokens")
    made = add("create", _token_create, "make a token, shown once", token)
    made.add_argument("--person", required=True, metavar="ID")
    made.add_argument("--role", required=True, choices=[role.word for role in reversed(Role)])
    made.add_argument("--json", action="store_true")
    add("revoke", _token_revoke, "end a token", token).add_argument("id")

    person = family("person", "one person")
    made = add("role", _person_role, "give a person a role in the pages", person)
    made.add_argument("--person", required=True, metavar="ID")
    made.add_argument("--role", required=True, choices=[role.word for role in reversed(Role)])
    add("restored", _restored, "say that a backup was put in place: live streams start anew")

    link = family("link", "one-time sign-in links")
    made = add("create", _link_create, "make a link that signs a person in once", link)
    made.add_argument("--person", required=True, metavar="ID")
    made.add_argument("--json", action="store_true")

    password = family("password", "passwords")
    made = add("set", _password_set, "give a person a password, read from standard input", password)
    made.add_argument("--person", required=True, metavar="ID")

    rules = family("rules", "what becomes of what sources say")
    made = add("test", _rules_test, "say what would become of these messages, in their order, and why", rules)
    made.add_argument("files", nargs="*", metavar="FILE", help="messages of sources, whatever their kind")
    made.add_argument("--rules", required=True, metavar="FILE.toml")
    made.add_argument("--source", metavar="NAME", help="as if they came from this source (their kind's name)")
    made.add_argument("--certificates", metavar="FILE.pem", help="whose signatures are believed (nobody's)")
    made.add_argument("--json", action="store_true")

    _add_replay(add("replay", _rules_replay, "say what rules would have made of what came on past days", rules))

    _add_post(add("post", _post, "put a post on a board; with --urgent, alert people"))
    made = add("vapid", _vapid, "make or show the VAPID key pair")
    made.add_argument("--private", action="store_true", help="the private key too")
    made.add_argument("--json", action="store_true")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError("must be 0 to 65535; 0 takes any free one")
    return int(text)


def _add_replay(made: argparse.ArgumentParser) -> None:
    made.add_argument("files", nargs="*", metavar="FILE", help="messages of sources instead of what is kept")
    made.add_argument("--from", dest="first", default="", metavar="DATE", help="30 days before the other when left out")
    made.add_argument("--to", dest="last", default="", metavar="DATE", help="with all of this day; today when left out")
    made.add_argument("--rules", metavar="FILE.toml", help="instead of those in force")
    made.add_argument("--source", metavar="NAME", help="only what it said; of files: as if they came from it")
    made.add_argument("--json", action="store_true")


def _add_post(made: argparse.ArgumentParser) -> None:
    made.add_argument("--title", required=True)
    made.add_argument("--body", required=True, help="the text; - reads standard input")
    made.add_argument("--board", default="general")
    made.add_argument("--urgent", action="store_true")
    kind = made.add_mutually_exclusive_group()
    kind.add_argument("--real", dest="drill", action="store_false", default=None, help="a real alert")
    kind.add_argument("--drill", dest="drill", action="store_true", default=None, help="a drill")
    made.add_argument("--severity", default=DEFAULT_SEVERITY, choices=SEVERITIES)
    made.add_argument("--group", action="append", metavar="ID", help="only this group (may be repeated)")
    made.add_argument("--to", action="append", metavar="PERSON", help="only this person (may be repeated)")
    made.add_argument("--person", default=_SHELL, metavar="ID", help="who posts")
    made.add_argument("--key", help="an idempotency key: the same key posts once")
    made.add_argument("--json", action="store_true")
