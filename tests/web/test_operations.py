"""What operators meet in the API: a full disk, and who takes the self-test."""

from pathlib import Path

from alertd.store.ballast import Ballast
from tests.web.server import Town, post_body


async def test_a_full_disk_refuses_new_posts_and_nothing_else(town: Town, data_dir: Path) -> None:
    alert = await town.alert()
    first = await town.call("manager", "POST", "/posts", post_body(), headers={"Idempotency-Key": "k"})
    town.rt.store.ballast = Ballast(data_dir / "ballast", 1024 * 1024)
    refused = await town.call("manager", "POST", "/posts", post_body())
    assert refused.status == 503
    assert refused.error["code"] == "disk_full"
    assert int(refused.headers["retry-after"]) > 0
    assert (await town.call("staff", "POST", "/me/test")).error["code"] == "disk_full"
    acknowledged = await town.call("staff", "POST", f"/alerts/{alert}/acknowledgements", {})
    assert acknowledged.status == 200
    again = await town.call("manager", "POST", "/posts", post_body(), headers={"Idempotency-Key": "k"})
    assert (again.status, again.body) == (201, first.body), "what was taken is answered as before"
    assert town.rt.store.ballast.put_in_place()
    assert (await town.call("manager", "POST", "/posts", post_body())).status == 201


async def test_who_takes_the_self_test_is_said_and_left_alone_otherwise(town: Town) -> None:
    body = {"name": "当番"}
    assert (await town.call("manager", "PUT", "/people/duty", body)).body["takes_self_test"] is False
    opted = await town.call("manager", "PUT", "/people/duty", {**body, "takes_self_test": True})
    assert opted.body["takes_self_test"] is True
    assert (await town.call("manager", "PUT", "/people/duty", body)).body["takes_self_test"] is True
    assert (await town.call("manager", "PUT", "/people/duty", {**body, "takes_self_test": "yes"})).status == 422
