"""`python -m tests.audit`: Lighthouse on every page that matters, in Debian's Chromium, against a town of 312.

Prints what it found, leaves Lighthouse's reports in var/audit, and exits with 1 when a limit is missed.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.audit.judgement import BYTES, CATEGORIES, USABLE, complaints, figures, table
from tests.browser.town import Town
from tests.services import short_directory

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PEOPLE: Final = 312
PAGE_SECONDS: Final = 180

_KEPT_WELL: Final = {"accessibility": 100, "best-practices": 95}
# A phone in the night: slow, far from the mast, and not to be kept waiting.
_ON_A_PHONE: Final = {**_KEPT_WELL, "performance": 95, BYTES: 60_000, USABLE: 3_000}
_AT_A_DESK: Final = {**_KEPT_WELL, BYTES: 200_000}
_ASK: Final = {
    "question": "無事ですか？",
    "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}],
}
_BODY: Final = "**市役所**に集合してください。\n\n- 着替え\n- 懐中電灯"


@dataclass(frozen=True)
class Audited:
    """A page, whose it is (None: nobody is signed in), and what is asked of it."""

    name: str
    url: str
    person: str | None
    phone: bool
    limits: dict[str, int] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=ROOT / "var" / "audit", help="where the reports go")
    parser.add_argument("--only", help="names of pages, with commas between them")
    given = parser.parse_args(arguments)
    chromium = shutil.which("chromium")
    if chromium is None or not (HERE / "node_modules").is_dir():
        print("chromium or Lighthouse is not installed: run `make audit`, which installs them", file=sys.stderr)
        return 2
    given.to.mkdir(parents=True, exist_ok=True)
    with running_town() as town:
        pages = list_pages(town, make_alerts(town))
        names = given.only.split(",") if given.only else [page.name for page in pages]
        unknown = sorted(set(names) - {page.name for page in pages})
        if unknown:
            print(f"{', '.join(unknown)}: there are {', '.join(page.name for page in pages)}", file=sys.stderr)
            return 2
        reports = [(page, audit(town, page, given.to, chromium)) for page in pages if page.name in names]
    found = [figure for page, report in reports for figure in figures(page.name, report, page.limits)]
    print(table(found))
    for page, report in reports:
        for complaint in complaints(report):
            print(f"{page.name}: {complaint}")
    print(f"Lighthouse's reports are in {given.to}")
    return 0 if all(figure.holds for figure in found) else 1


@contextmanager
def running_town() -> Iterator[Town]:
    directory = short_directory()
    directory.mkdir(mode=0o700)
    town = Town(directory)
    try:
        town.start()
        town.settle()
        _move_in(town, PEOPLE)
        yield town
    finally:
        town.stop()
        shutil.rmtree(directory)


def _move_in(town: Town, count: int) -> None:
    listed = town.directory / "more.csv"
    rows = [f"p{number},職員 {number},p{number}@example.jp,,ja,fukushi,true" for number in range(count)]
    listed.write_text("\n".join(["id,name,email,phone,language,groups,active", *rows]), encoding="utf-8")
    town.run("people", "import", str(listed))


def make_alerts(town: Town) -> str:
    """What a manager and a phone have seen by then: an old drill, and an alert that a third has answered."""
    town.post("参集訓練", drill=True, body=_BODY)
    alert = town.post("地震：安否を報告してください", drill=False, ask=_ASK, body=_BODY, severity="extreme")
    for number in range(0, PEOPLE, 3):
        town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": f"p{number}", "answer": "safe"})
    return alert


def list_pages(town: Town, alert: str) -> list[Audited]:
    return [
        Audited("mine", f"{town.url}/me", "tanaka", True, _ON_A_PHONE),
        Audited("letter", town.letter(alert, "suzuki"), None, True, _ON_A_PHONE),
        Audited("sign-in", f"{town.url}/sign-in", None, False, _AT_A_DESK),
        Audited("board", f"{town.url}/board", "boss", False, _AT_A_DESK),
        Audited("live", f"{town.url}/alerts/{alert}", "boss", False, _AT_A_DESK),
        Audited("compose", f"{town.url}/posts/new", "boss", False, _AT_A_DESK),
    ]


def audit(town: Town, page: Audited, to: Path, chromium: str) -> dict[str, Any]:
    """Lighthouse's report on a page. RuntimeError when it could make none."""
    job = {
        "url": page.url,
        "signIn": town.link(page.person) if page.person else None,
        "phone": page.phone,
        "chrome": chromium,
        "categories": CATEGORIES,
    }
    print(f"{page.name} …", file=sys.stderr)
    done = subprocess.run(
        ["node", "audit.mjs"],
        cwd=HERE,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Lighthouse found nothing on {page.name}: {done.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    (to / f"{page.name}.json").write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")
    if report.get("runtimeError"):
        raise RuntimeError(f"Lighthouse could not load {page.name}: {report['runtimeError']['message']}")
    if report["finalDisplayedUrl"] != page.url:
        raise RuntimeError(f"{page.name} led to {report['finalDisplayedUrl']}")
    return report


if __name__ == "__main__":
    sys.exit(main())
