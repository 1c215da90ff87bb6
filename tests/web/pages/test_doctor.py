"""The doctor's findings as admins see them."""

from alertd.core.errors import DiskFull
from alertd.store.ballast import Ballast
from tests.web.pages.visitor import URGENT, Enter, Site, written


def test_an_admin_reads_what_would_not_work_worst_first(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    assert 'href="/doctor"' in admin.get("/me").text
    shown = admin.get("/doctor")
    assert shown.status == 200
    assert "Redis does not answer" in shown.text
    assert "no clock is running" in shown.text
    assert "the database can be written" in shown.text
    assert shown.text.index("no clock is running") < shown.text.index("the database can be written")
    assert "Checked at" in shown.text
    japanese = admin.get("/doctor?lang=ja")
    assert "データベースに書き込めます。" in japanese.text
    assert "点検" in japanese.text


def test_nobody_else_does(site: Site, enter: Enter) -> None:
    for person in ("boss", "viewer", "tanaka"):
        visitor = enter(person)
        assert visitor.get("/doctor").status == 403
        assert 'href="/doctor"' not in visitor.get("/me").text


def test_a_post_that_a_full_disk_refuses_is_refused_in_words(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    check = written(boss, *URGENT)
    site.rt.store.ballast = Ballast(site.directory / "ballast")
    refused = boss.submit(check, "/posts/new", ("step", "send"))
    assert refused.status == 503
    assert refused.headers["retry-after"] == str(DiskFull.retry_after)
    assert "The disk is full" in refused.text
    assert site.rt.store.ballast.put_in_place()
    assert boss.submit(check, "/posts/new", ("step", "send")).path.startswith("/alerts/")
