"""`alertd rules test`: what would become of messages, and why."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.sources.signing import AGENCY, SIGNED
from tests.sources.test_cap import REFERENCES, message
from tests.sources.test_program import sent

RULES = """
[[rule]]
name = "tsunami"
source = "cap"
do = "alert"
audience = { everyone = true }
"""


def rules_test(directory: Path, *arguments: str, rules: str = RULES, lang: str = "C.UTF-8") -> tuple[int, str, str]:
    book = directory / "rules.toml"
    book.write_text(rules)
    done = subprocess.run(
        [sys.executable, "-m", "alertd", "rules", "test", "--rules", str(book), *arguments],
        cwd=directory,
        env={**os.environ, "LANG": lang, "ALERTD_TIME_ZONE": "Asia/Tokyo"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def messages(directory: Path) -> list[str]:
    issued = directory / "1.cap"
    issued.write_text(message())
    lifted = directory / "2.cap"
    later = "2026-11-22T19:00:00+09:00"
    lifted.write_text(message(identifier="a-3", sent=later, kind="Cancel", references=REFERENCES))
    return [str(issued), str(issued), str(lifted)]


def test_it_says_what_would_happen_and_why(tmp_path: Path) -> None:
    status, out, _ = rules_test(tmp_path, *messages(tmp_path))
    assert status == 0
    assert out.splitlines() == [
        "alert      2026-11-22T09:00:00+00:00 津波警報: a rule says so [tsunami]",
        "ignore     2026-11-22T09:00:00+00:00 津波警報: it came before",
        "stand-down 2026-11-22T10:00:00+00:00 津波警報: its sender withdrew it [tsunami]",
    ]
    assert not (tmp_path / "var").exists()  # it needs no installation, and makes none
    _, out, _ = rules_test(tmp_path, *messages(tmp_path)[:1], lang="ja_JP.UTF-8")
    assert out.endswith("津波警報: 規則のとおり [tsunami]\n")


def test_signatures_are_verified_against_a_file(tmp_path: Path) -> None:
    signed, pem = tmp_path / "signed.cap", tmp_path / "agency.pem"
    signed.write_bytes(SIGNED)
    pem.write_text(AGENCY.pem)
    asking = RULES + "when = { signed = true }\n"
    _, out, _ = rules_test(tmp_path, str(signed), "--certificates", str(pem), rules=asking)
    assert "a rule that asks for a signature says so, and it is signed [tsunami]" in out
    _, out, _ = rules_test(tmp_path, str(signed), rules=asking)
    assert "the rule for it asks for a signature, and it has none" in out
    signed.write_bytes(SIGNED.replace("高台".encode(), "低地".encode()))
    status, out, _ = rules_test(tmp_path, str(signed), "--certificates", str(pem), rules=asking)
    assert (status, "the signature does not hold: what it was made for has been altered" in out) == (1, True)
    status, _, err = rules_test(tmp_path, "--certificates", str(signed), rules=asking)
    assert (status, "are not PEM" in err) == (2, True)


def test_programs_read_it_too(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_bytes(sent(areas=[{"code": "38214", "name": "西予市"}]))
    broken = tmp_path / "broken.cap"
    broken.write_text("<alert/>")
    status, out, _ = rules_test(tmp_path, "--json", "--source", "cap", str(own), str(broken))
    assert status == 1
    [decided, refused] = json.loads(out)
    assert (decided["action"], decided["reason"], decided["rule"]) == ("alert", "rule", "tsunami")
    assert decided["areas"] == ["西予市"]
    assert refused["error"].startswith("line 1: this is not CAP 1.2")


def test_bad_input_is_named(tmp_path: Path) -> None:
    assert rules_test(tmp_path) == (0, "1 rules, and nothing wrong with them\n", "")
    status, _, fault = rules_test(tmp_path, rules='[[rule]]\nname = "x"\n')
    assert status == 1
    assert "rule.0.source: Field required" in fault
    status, _, fault = rules_test(tmp_path, "missing.cap")
    assert (status, fault) == (2, "cannot read missing.cap: No such file or directory\n")


TEMPLATE = """
[[rule]]
name = "tsunami"
source = "cap"
do = "alert"
audience = { everyone = true }
template = "landslide-ja"
fill = { "時刻" = "{time}", "対象地区" = "{FILL}", "避難場所" = "中央公民館" }
"""


def test_it_shows_the_words_of_a_template(tmp_path: Path) -> None:
    issued, _, lifted = messages(tmp_path)
    book = TEMPLATE.replace("FILL", "title")
    status, out, _ = rules_test(tmp_path, issued, lifted, rules=book)
    assert status == 0
    first, title, *_ = out.splitlines()
    assert (first[:5], title) == ("alert", "    土砂災害警戒情報：津波警報")
    assert "    18:00、津波警報に土砂災害警戒情報が発表されました。" in out
    # Its end is in the words of whoever ended it.
    [_, ended] = json.loads(rules_test(tmp_path, "--json", issued, lifted, rules=book)[1])
    assert (ended["action"], ended["says"]["title"]) == ("stand-down", "津波警報")
    _, out, _ = rules_test(tmp_path, issued, rules=TEMPLATE.replace("FILL", "fields.x"))
    assert out.splitlines()[1:] == ["    !! template: has nothing to put in place of 対象地区"]
    _, out, _ = rules_test(tmp_path, issued, rules=book.replace("landslide-ja", "ours"))
    assert out.splitlines()[1:] == ["    !! template: there is no template 'ours'"]
