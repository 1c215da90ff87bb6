"""Where the recipients of an alert stand: who has answered, who has not, whom nothing reaches.

Each such set of people is `Whose`: queries for persons among the recipients, whose union it is. It is counted and
read page by page, on indexes, without the rest of the audience.
"""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, Select, Subquery, exists, func, select, union

from alertd.core.delivery import HOPEFUL, State
from alertd.store.rows import Row, in_slices
from alertd.store.schema import deliveries, doubts, group_members, groups, recipients, subscriptions
from alertd.store.tallies import has_none_in

Whose = Sequence[Select[str]]

_HAS: Final = (State.SENDING, State.SENT, State.DELIVERED)


def _of(alert: Row) -> Select[str]:
    return select(recipients.c.person_id).where(recipients.c.alert_id == alert["id"])


def audience(alert: Row) -> Whose:
    """The people whom `alert` (its row) is for."""
    return [_of(alert).where(recipients.c.part == "audience")]


def outstanding(alert: Row) -> Whose:
    """Those of the audience who have not acknowledged what the alert now asks."""
    return [_of(alert).where(recipients.c.answered == revision) for revision in range(alert["asked_revision"])]


def acknowledged(alert: Row) -> Whose:
    """Those of the audience who have."""
    revisions = range(alert["asked_revision"], alert["revision"] + 1)
    return [_of(alert).where(recipients.c.answered == revision) for revision in revisions]


def unreachable(alert: Row, later: Collection[str]) -> Whose:
    """The outstanding to whom no way works or still may, and who have none on a channel that is tried `later`."""
    # Whoever was to be told of an alert that was called off first need not be told any more.
    called_off = {State.CANCELLED} if alert["state"] == "cancelled" else set()
    # Neither engine is let loose on the index of the answers: it would go through all who have not answered.
    silent = recipients.c.answered + 0 < alert["asked_revision"]
    lost = select(recipients.c.person_id).where(silent, has_none_in(HOPEFUL | called_off))
    if later:
        way = select(func.count()).where(
            subscriptions.c.person_id == recipients.c.person_id,
            (subscriptions.c.channel + "").in_(later),  # by person, not by channel: for the same reason
            subscriptions.c.retired_at.is_(None),
            subscriptions.c.verified_at.is_not(None),
        )
        lost = lost.where(way.scalar_subquery() == 0)
    doubtful = select(doubts.c.recipient_id).where(doubts.c.alert_id == alert["id"])
    hopeless = (recipients.c.alert_id == alert["id"]) & recipients.c.hopeless
    return [lost.where(hopeless), lost.where(recipients.c.id.in_(doubtful))]


def awaited(alert: Row, later: Collection[str]) -> Whose:
    """The outstanding who are not unreachable: a message went to them or still may."""
    lost = select(_together(unreachable(alert, later)).c.person_id)
    return [query.where(recipients.c.person_id.not_in(lost)) for query in outstanding(alert)]


def outdated(alert: Row) -> Whose:
    """Who holds an earlier version of the alert on some way that nobody has taken the current one over for. Costs as
    much as there are deliveries of earlier versions.
    """
    if alert["revision"] == 1:
        return []
    old, new = deliveries.alias("old"), deliveries.alias("new")
    replaced = exists().where(
        new.c.alert_id == alert["id"],
        new.c.revision == alert["revision"],
        new.c.subscription_id == old.c.subscription_id,
        new.c.state.in_((State.SENT, State.DELIVERED)),
    )
    holds = select(old.c.recipient_id).where(
        old.c.alert_id == alert["id"], old.c.revision < alert["revision"], old.c.state.in_(_HAS), ~replaced
    )
    return [select(recipients.c.person_id).where(recipients.c.id.in_(holds))]


def supervisors(alert: Row, upward: Collection[int]) -> Whose:
    """Whoever was told of others' silence by the steps `upward`, in the audience themselves or not."""
    if not upward:
        return []
    told = select(deliveries.c.recipient_id).where(
        deliveries.c.alert_id == alert["id"],
        deliveries.c.revision.in_(range(1, alert["revision"] + 1)),
        deliveries.c.step.in_(upward),
    )
    return [*apart(alert), select(recipients.c.person_id).where(recipients.c.id.in_(told))]


def apart(alert: Row) -> Whose:
    """The supervisors who are not in the audience."""
    return [_of(alert).where(recipients.c.answered.is_(None))]


def within(whose: Whose, group_id: str) -> Whose:
    """Those of them who are in that group or one below it."""
    below = select(groups.c.id).where(groups.c.id == group_id).cte("below", recursive=True)
    below = below.union(select(groups.c.id).join(below, groups.c.parent_id == below.c.id))
    theirs = select(group_members.c.person_id).where(group_members.c.group_id.in_(select(below.c.id)))
    return [query.where(recipients.c.person_id.in_(theirs)) for query in whose]


def count(connection: Connection, whose: Whose) -> int:
    """How many they are."""
    if not whose:
        return 0
    query = select(func.count()).select_from(_together(whose))
    return int(connection.execute(query).scalar_one())


def page(connection: Connection, whose: Whose, after: str | None, limit: int) -> list[str]:
    """The first `limit` of them after person `after`, by id."""
    if not whose:
        return []
    later = [query if after is None else query.where(recipients.c.person_id > after) for query in whose]
    firsts = [query.order_by(recipients.c.person_id).limit(limit).subquery() for query in later]
    either = _together([select(first.c.person_id) for first in firsts])
    query = select(either.c.person_id).order_by(either.c.person_id).limit(limit)
    return list(connection.execute(query).scalars())


def among(connection: Connection, whose: Whose, person_ids: Sequence[str]) -> set[str]:
    """Which of these people are among them."""
    found: set[str] = set()
    for some in in_slices(person_ids) if whose else ():
        these = _together([query.where(recipients.c.person_id.in_(some)) for query in whose])
        found.update(connection.execute(select(these.c.person_id)).scalars())
    return found


def answered(connection: Connection, alert: Row, person_ids: Sequence[str]) -> dict[str, int | None]:
    """The revision that each of these recipients has answered to; None: a supervisor who is not in the audience."""
    found: dict[str, int | None] = {}
    for some in in_slices(person_ids):
        # With a column that the index of the answers lacks: else SQLite goes through all of it, and looks nobody up.
        query = select(recipients.c.person_id, recipients.c.answered, recipients.c.part).where(
            recipients.c.alert_id == alert["id"], recipients.c.person_id.in_(some)
        )
        found.update({row.person_id: row.answered for row in connection.execute(query)})
    return found


def _together(whose: Whose) -> Subquery:
    """In one statement, and so of one moment: who leaves one of them for another is not missed between two."""
    return union(*whose).subquery() if len(whose) > 1 else whose[0].subquery()
