"""An installation, and a way in for its visitors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.pages.visitor import Enter, Site, entering


@pytest.fixture
def site(data_dir: Path) -> Iterator[Site]:
    site = Site(data_dir)
    yield site
    site.rt.store.close()


@pytest.fixture
def enter(site: Site) -> Iterator[Enter]:
    with entering(site) as enter:
        yield enter
