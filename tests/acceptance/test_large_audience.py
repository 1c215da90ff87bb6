"""An alert to some thousand people, while whoever lays it down is killed again and again."""

import signal
from collections import Counter

from sqlalchemy import func, select

from alertd.store import rollouts, schema
from alertd.store.engine import Store
from tests.acceptance.town import Town, eventually

_PEOPLE = 5_600  # on PostgreSQL the clock takes 5,000 in a slice, after the first 1,000
_KILLS = 3


async def test_a_clock_that_is_killed_between_two_slices_skips_nobody_and_tells_nobody_twice(town: Town) -> None:
    await town.inhabit(_PEOPLE, push=0, two_devices=0, phones=0, connected=0)
    store = Store(town.database_url or f"sqlite:///{town.directory}/data/alertd.db")
    killed_at: set[str] = set()
    status, posted = await town.post("津波警報", audience={"everyone": True})
    assert status == 201
    alert = posted["alert"]["id"]

    async def laid_down() -> bool:
        """Whether everybody is; whenever it has gone on by a slice, the clock is killed in the middle of the next."""
        with store.read() as connection:
            now = rollouts.position(connection, alert)
        if now is not None and now not in killed_at and len(killed_at) < _KILLS:
            for clock in [child for process in town.processes for child in process.children("workers clock")]:
                clock.send_signal(signal.SIGKILL)
                killed_at.add(now)
        return now is None

    await eventually(laid_down, 60, "everybody is laid down")
    assert killed_at, "nobody was killed: it was all over before"

    async def sent() -> bool:
        summary = await town.summary(alert)
        return bool(summary["channels"]["email"]["sent"] == _PEOPLE)

    await eventually(sent, 90, "every letter is with the relay")
    with store.read() as connection:
        recipients = set(connection.execute(select(schema.recipients.c.person_id)).scalars())
        deliveries = connection.execute(select(func.count()).select_from(schema.deliveries)).scalar_one()
    store.close()
    assert recipients == {*town.people, "admin"}
    assert deliveries == _PEOPLE
    letters = Counter(letter.recipient for letter in town.smtp.letters)
    assert letters == Counter(person.email for person in town.people.values())
