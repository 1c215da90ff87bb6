"""What browsers load besides pages, and how it goes over the line."""

import gzip

import pytest
from starlette.testclient import TestClient

from tests.web.pages.visitor import Site

ASKED = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize("path", ["/sign-in", "/static/alertd.css", "/service-worker.js"])
def test_what_a_phone_loads_is_compressed(site: Site, path: str) -> None:
    with TestClient(site.app) as client, client.stream("GET", path, headers=ASKED) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    with TestClient(site.app) as client:
        plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 1.5


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics", "/static/icon-192.png"])
def test_what_programs_ask_for_and_pictures_stay_as_they_are(site: Site, path: str) -> None:
    with TestClient(site.app) as client:
        answer = client.get(path, headers=ASKED)
    assert "content-encoding" not in answer.headers
    assert len(answer.content) > 500
