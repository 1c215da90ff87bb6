"""What the documentation must not forget: every setting, call, close code, state and word that people meet."""

import re
from pathlib import Path
from typing import Final

import pytest

from alertd.core.delivery import State
from alertd.core.rules import Reason
from alertd.core.stream import Close
from alertd.sources.registry import KINDS
from alertd.web import metrics
from alertd.web.api import ENDPOINTS
from alertd.web.endpoints import Endpoint
from channels.registry import all_settings
from config.settings import NAMES, PREFIX

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
SETTINGS: Final = sorted({*NAMES, "CONFIG"} | {setting.name for setting in all_settings()})


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_explained(name: str) -> None:
    assert f"`{PREFIX}{name}`" in (DOCS / "operating.md").read_text()


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_call_is_listed(endpoint: Endpoint) -> None:
    call = f"`{endpoint.method} {endpoint.path.removeprefix('/api/v1')}`"
    assert call in (DOCS / "api.md").read_text()


@pytest.mark.parametrize("name", metrics.NAMES)
def test_every_metric_is_explained(name: str) -> None:
    assert f"| `{name}` |" in (DOCS / "operating.md").read_text()


@pytest.mark.parametrize("code", Close)
def test_every_close_code_is_listed(code: Close) -> None:
    assert f"| {code.value} |" in (DOCS / "api.md").read_text()


@pytest.mark.parametrize("state", State)
def test_every_state_says_what_it_claims(state: State) -> None:
    assert f"| {state.value} |" in (DOCS / "concepts.md").read_text()


@pytest.mark.parametrize("word", [*Reason, *KINDS])
def test_every_reason_and_every_kind_of_source_is_explained(word: str) -> None:
    assert f"`{word}`" in (DOCS / "sources.md").read_text()


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
