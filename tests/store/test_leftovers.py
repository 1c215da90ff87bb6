"""What is over is deleted in batches, and nothing else is."""

from datetime import timedelta

from sqlalchemy import insert, select

from alertd.core.delivery import Receipt
from alertd.core.roles import Role
from alertd.service.runtime import Runtime
from alertd.service.sources import make_source
from alertd.store import leftovers, receipts, schema, sources
from tests.installation import BOSS, actor


def test_what_is_older_than_a_month_goes_in_batches(rt: Runtime) -> None:
    now = rt.now()
    make_source(rt, actor("admin", Role.ADMIN), "jma", "jma")
    with rt.store.write() as connection:
        for days in (40, 35, 31, 29, 0):
            at = now - timedelta(days=days)
            receipts.keep(connection, "sms", Receipt(f"m{days}", True), at)
            key = {"person_id": BOSS.person_id, "key": f"k{days}", "request_hash": "", "created_at": at}
            connection.execute(insert(schema.idempotency).values(key))
            reply = {"channel": "sms", "message_id": f"r{days}", "answer": "", "received_at": at}
            connection.execute(insert(schema.replies).values(reply))
            sources.keep_fetched(connection, "jma", f"f{days}", b"", at)
        more = [leftovers.clear(connection, now, batch=2) for _ in range(3)]
        assert more == [True, False, False]
        columns = (
            schema.receipts.c.provider_id,
            schema.idempotency.c.key,
            schema.replies.c.message_id,
            schema.fetched.c.reference,
        )
        left = [set(connection.execute(select(column)).scalars()) for column in columns]
    assert left == [{"m29", "m0"}, {"k29", "k0"}, {"r29", "r0"}, {"f29", "f0"}]


def test_that_something_is_on_its_way_is_not_kept(rt: Runtime) -> None:
    with rt.store.write() as connection:
        receipts.keep(connection, "sms", Receipt("m1", None), rt.now())
        assert connection.execute(select(schema.receipts)).all() == []
