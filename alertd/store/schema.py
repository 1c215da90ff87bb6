"""Every table. Times are aware UTC; ids are strings that the service makes or people choose.

One module, however long it grows: tables refer to each other, and the migrations are compared with all of them at once.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
    or_,
)

from alertd.core.acknowledgement import PROVES
from alertd.store.columns import Id, Lane, Serial, UtcDateTime, Word, made_at

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("name", Id, nullable=False),  # tells towns apart that share a Redis
    Column("epoch", Id, nullable=False),  # a restored backup gets a new one, so that no client resumes in it
    Column("event_offset", BigInteger, nullable=False),  # the one locked row from which offsets come
    Column("people_version", BigInteger, nullable=False),  # rises with every change to people or groups
    Column(
        "public_url", String(500)
    ),  # where people reach the web, as it was last started: workers write it into links
    made_at(),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("purpose", Word, primary_key=True),  # secret | vapid
    Column("value", Text, nullable=False),
    made_at(),
    Column("retired_at", UtcDateTime),
)

people = Table(
    "people",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("email", String(254)),
    Column("phone", String(20)),
    Column("addresses", JSON, nullable=False),  # the record's other addresses, by their names
    Column("language", String(2), nullable=False),
    Column("role", Word, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("external_id", String(200), unique=True),
    Column("password_hash", Text),
    Column("quiet_from", String(5)),  # local time, 22:00; both or neither
    Column("quiet_to", String(5)),
    Column("takes_self_test", Boolean, nullable=False),  # has opted in to the scheduled drill
    Column("version", BigInteger, nullable=False),
    made_at(),
    Column("updated_at", UtcDateTime, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("parent_id", Id, ForeignKey("groups.id"), index=True),
    made_at(),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", Id, ForeignKey("groups.id"), primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), primary_key=True, index=True),
)

group_supervisors = Table(
    "group_supervisors",
    metadata,
    Column("group_id", Id, ForeignKey("groups.id"), primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), primary_key=True, index=True),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Word, nullable=False),  # token | session | link | code
    # SHA-256 of 256 random bits: nothing to stretch. A code has few. Guessing is what threatens it while it lives, see
    # `limits`; afterwards its hash opens nothing. A key would not hide it: that stands in the same database.
    Column("hash", String(64), nullable=False, unique=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False, index=True),
    Column("role", Word, nullable=False),
    made_at(),
    Column("expires_at", UtcDateTime),
    Column("used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), nullable=False, index=True),
    Column("channel", Word, nullable=False),
    Column("address", JSON, nullable=False),
    Column("address_hash", String(64), nullable=False),
    Column("lane", Lane, nullable=False),
    Column("label", String(200)),  # what the person calls it: the browser's or phone's name
    made_at(),
    Column("verified_at", UtcDateTime),
    Column("retired_at", UtcDateTime),
    Column("retired_reason", String(500)),
    UniqueConstraint("person_id", "channel", "address_hash"),
    Index("ix_subscriptions_channel_address_hash", "channel", "address_hash"),
)

# Lists of people that were handed in: as a draft with its text and its differences, then as what they changed.
imports = Table(
    "imports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("actor_id", Id, nullable=False),  # like `audit`: may be the shell, which is nobody
    Column("file", String(200), nullable=False),
    Column("text", Text),  # of a draft
    Column("preview", JSON),  # of a draft: see `service.imports`
    Column("counts", JSON, nullable=False),
    made_at(),
    Column("applied_at", UtcDateTime),
    Column("undone_at", UtcDateTime),
    Column("kept", JSON),  # whom undoing has left as they were, and why
    Index("ix_imports_applied_at_created_at", "applied_at", "created_at"),
)

import_rows = Table(
    "import_rows",
    metadata,
    Column("import_id", Id, ForeignKey("imports.id"), primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), primary_key=True),
    Column("before", JSON),  # null: they were not there
    Column("after", JSON, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Word, nullable=False),
    Column("secret_hash", String(64), nullable=False),  # SHA-256 of 256 random bits
    Column("made_by", Id, nullable=False),
    made_at(),
    Column("succeeded_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("fault", String(500)),  # what was wrong at `failed_at`
    Column("certificates", Text),  # PEM: whose signatures are believed
    Column("unproved_at", UtcDateTime),  # when managers were told of a signature that does not hold
    Column("access", JSON),  # how it is asked; null: it sends by itself
    Column("every_seconds", Integer),
    Column("cursor", JSON),  # how far it was read
    Column("next_at", UtcDateTime, index=True),  # when it is asked again
    Column("leased_until", UtcDateTime),  # somebody asks it until then
    Column("failures", Integer, nullable=False),  # one after another
    Column("silent_seconds", Integer),  # operators are told when it was not heard for so long; null: never
    Column("alarmed_at", UtcDateTime),  # when they were told, since it was last heard
)

fetched = Table(
    "fetched",
    metadata,
    Column("source_id", Id, ForeignKey("sources.id"), primary_key=True),
    Column("reference", String(500), primary_key=True),  # no message is fetched twice
    Column("body", LargeBinary),  # until what it says is kept; of what could not be read for good
    Column("fault", String(500)),
    Column("fetched_at", UtcDateTime, nullable=False, index=True),
    Column("taken_at", UtcDateTime),
)

# Every version that somebody saved; the last one is in force.
rule_books = Table(
    "rule_books",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("text", Text, nullable=False),
    Column("made_by", Id, nullable=False),
    made_at(),
)

# What people know of an event. Several sources' incidents may belong to one.
threads = Table(
    "threads",
    metadata,
    Column("id", Id, primary_key=True),
    Column("told", Word),  # board | draft | alert; null: it is over
    Column("alert_id", Id, ForeignKey("alerts.id"), index=True),
    made_at(),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("reference", String(500), nullable=False),
    Column("standing", Word, nullable=False),
    Column("signed", Boolean, nullable=False),  # whether all that it consists of is
    Column("branch", String(200), nullable=False),  # the rule that alerted more people when it got worse; else empty
    Column("version", BigInteger),  # the latest
    Column("rule", String(200)),  # which last made something of it
    Column("observation", JSON),  # as it was last told
    Column("thread_id", Id, ForeignKey("threads.id"), index=True),  # null: nothing was made of it
    Column("write_at", UtcDateTime, index=True),  # when the source is told next how its alert stands; null: never
    Column("written", JSON),  # what to remember of what it was told
    made_at(),
    UniqueConstraint("source_id", "reference", "standing", "signed", "branch"),
)

# How far people's lists on a source's side say how an alert stands: see `service.writing_back`.
noticed = Table(
    "noticed",
    metadata,
    Column("alert_id", Id, ForeignKey("alerts.id"), primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id"), primary_key=True),
    Column("state", JSON, nullable=False),
)

observations = Table(
    "observations",
    metadata,
    Column("id", Serial, primary_key=True),  # in the order in which they came
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("incident_id", Id, ForeignKey("incidents.id"), nullable=False, index=True),
    Column("reference", String(500), nullable=False, index=True),
    Column("version", BigInteger, nullable=False),
    Column("content", JSON, nullable=False),
    Column("action", Word, nullable=False),
    Column("reason", Word, nullable=False),
    Column("rule", String(200)),
    Column("draft", JSON),  # what is to be said, and to whom
    Column("state", Word, nullable=False),  # due | waiting | done | stopped | superseded
    Column("due_at", UtcDateTime),  # of what waits: when it goes unless somebody stops it; null: a person says
    Column("decided_by", Id),
    Column("post_id", Id, ForeignKey("posts.id")),
    Column("alert_id", Id, ForeignKey("alerts.id")),
    Column("fault", String(500)),
    Column("told_at", UtcDateTime),  # when managers were told that it waits
    Column("received_at", UtcDateTime, nullable=False),
    UniqueConstraint("incident_id", "reference", "version"),
    Index("ix_observations_state_due_at", "state", "due_at"),
    Index("ix_observations_rule_received_at", "rule", "received_at"),
    Index("ix_observations_received_at", "received_at"),
)

# Whom others' systems are told through. `secret` is kept as it is: it signs.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", String(2_000), nullable=False),
    Column("types", JSON, nullable=False),  # what it is told of
    Column("secret", String(100), nullable=False),
    Column("earlier_secret", String(100)),
    Column("earlier_until", UtcDateTime),  # until then the earlier one signs as well
    Column("cursor", BigInteger, nullable=False),  # the last event that was made into a message, if it was to be
    Column("made_by", Id, nullable=False),
    made_at(),
    Column("succeeded_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("fault", String(500)),  # what was wrong at `failed_at`
    Column("failures", Integer, nullable=False),  # one after another
    Column("disabled_at", UtcDateTime),  # when the other side said that it is gone
    Column("leased_until", UtcDateTime),  # somebody tells it something until then
)

webhook_messages = Table(
    "webhook_messages",
    metadata,
    Column("id", Serial, primary_key=True),  # in the order in which a webhook is to hear of them
    Column("reference", Id, nullable=False, unique=True),  # the same at every attempt
    Column("webhook_id", Id, ForeignKey("webhooks.id"), nullable=False),
    Column("alert_id", Id),  # null: it is about none, it only tries the line
    Column("type", Word, nullable=False),
    Column("body", Text, nullable=False),  # the very characters that are signed
    Column("state", Word, nullable=False),  # due | done | failed
    Column("tries", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    made_at(),
    Index("ix_webhook_messages_state_webhook_id_alert_id", "state", "webhook_id", "alert_id"),
    Index("ix_webhook_messages_created_at", "created_at"),
)

# The alerts whose counts and whose end a webhook still waits for.
webhook_alerts = Table(
    "webhook_alerts",
    metadata,
    Column("webhook_id", Id, ForeignKey("webhooks.id"), primary_key=True),
    Column("alert_id", Id, primary_key=True),
    Column("state", Word, nullable=False),  # of the alert, as it was last told
    Column("counts", JSON),  # as they were last told; null: never, or nobody knows whether they arrived
    Column("look_at", UtcDateTime, nullable=False, index=True),
)

boards = Table(
    "boards",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False),
    made_at(),
)

posts = Table(
    "posts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("board_id", Id, ForeignKey("boards.id"), nullable=False, index=True),
    Column("title", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("audience", JSON, nullable=False),
    Column("everyone", Boolean, nullable=False),
    Column("author_id", Id, ForeignKey("people.id"), nullable=False),
    Column("external_id", String(200), unique=True),
    made_at(),
)

post_groups = Table(
    "post_groups",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id"), primary_key=True),
    Column("group_id", Id, ForeignKey("groups.id"), primary_key=True, index=True),
)

post_people = Table(
    "post_people",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id"), primary_key=True),
    Column("person_id", Id, ForeignKey("people.id"), primary_key=True, index=True),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("post_id", Id, ForeignKey("posts.id"), unique=True),  # null: a test message to oneself
    Column("kind", Word, nullable=False),  # alert | test | self-test | notice
    Column("state", Word, nullable=False),  # active | cancelled | expired
    Column("revision", Integer, nullable=False),
    Column("revision_kind", Word, nullable=False),  # alert | update | cancel: of the revision that stands here
    Column("title", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("severity", Word, nullable=False),
    Column("urgency", Word, nullable=False),
    Column("certainty", Word, nullable=False),
    Column("drill", Boolean, nullable=False),
    Column("ask", JSON),
    Column("plan", JSON, nullable=False),
    Column("audience", JSON, nullable=False),
    Column("people_version", BigInteger, nullable=False),
    Column("recipients", Integer, nullable=False),  # of the audience; supervisors who are told later do not count
    Column("asked_revision", Integer, nullable=False),  # answers to earlier revisions no longer count
    Column("issued_by", Id, ForeignKey("people.id"), nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("revised_at", UtcDateTime, nullable=False),  # when the revision that stands here was made
    Column("expires_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Index("ix_alerts_state_expires_at", "state", "expires_at"),
)

alert_revisions = Table(
    "alert_revisions",
    metadata,
    Column("alert_id", Id, ForeignKey("alerts.id"), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", Word, nullable=False),  # alert | update | cancel
    Column("title", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("asks_again", Boolean, nullable=False),
    Column("created_by", Id, ForeignKey("people.id"), nullable=False),
    Column("after", Id),  # while it is being laid down: the last person it is for; otherwise null
    made_at(),
)

plans = Table(
    "plans",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("plan", JSON, nullable=False),
    Column("updated_by", Id, ForeignKey("people.id"), nullable=False),
    made_at(),
    Column("updated_at", UtcDateTime, nullable=False),
)

# What an urgent post can be started from, as far as it is not what comes with the software.
templates = Table(
    "templates",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("template", JSON, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("updated_by", Id, ForeignKey("people.id"), nullable=False),
    made_at(),
    Column("updated_at", UtcDateTime, nullable=False),
)

# The timetable of an alert: laid down whole when it is issued, so that any clock can carry out what is due, once.
steps = Table(
    "steps",
    metadata,
    Column("alert_id", Id, ForeignKey("alerts.id"), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("after", Id),  # while it is being laid down: the last person it is for; otherwise null
    Column("deliveries", Integer),  # how many it came to
    Index("ix_steps_started_at_due_at", "started_at", "due_at"),
)

# Alerts whose recipients and first deliveries are still being laid down, in the order of people's ids.
rollouts = Table(
    "rollouts",
    metadata,
    Column("alert_id", Id, ForeignKey("alerts.id"), primary_key=True),
    Column("after", Id, nullable=False),  # the last person who was laid down
)

# Without foreign keys, like deliveries: a check of each would double what a million of them cost to lay down, and the
# statement that writes them reads the rows that they name, which nothing ever deletes.
recipients = Table(
    "recipients",
    metadata,
    Column("id", Serial, primary_key=True),  # the number that acknowledgement tokens carry
    Column("alert_id", Id, nullable=False),
    Column("person_id", Id, nullable=False, index=True),
    Column("part", Word, nullable=False),  # audience | supervisor: told of somebody else's silence
    Column("answered", Integer),  # the revision that their last answer is to; 0: none yet; null: nobody waits for one
    Column("hopeless", Boolean, nullable=False),  # see `doubts`
    UniqueConstraint("alert_id", "person_id"),
    Index("ix_recipients_alert_id_answered_person_id", "alert_id", "answered", "person_id"),
)
Index(
    "ix_recipients_hopeless",
    recipients.c.hopeless,  # or else SQLite would not see that this is the narrowest
    recipients.c.alert_id,
    recipients.c.person_id,
    postgresql_where=recipients.c.hopeless,
    sqlite_where=literal_column("hopeless = 1"),  # as the queries put it
)

# Recipients whose `hopeless` is to be looked at again. Whoever of the audience has no delivery in a hopeful state is
# marked as hopeless or stands here; others may, too.
doubts = Table(
    "doubts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("alert_id", Id, nullable=False, index=True),
    Column("recipient_id", Serial, nullable=False),
)


# How many there are of what by alert: see `store.tallies`.
tallies = Table(
    "tallies",
    metadata,
    Column("alert_id", Id, primary_key=True),
    Column("kind", Word, primary_key=True),
    Column("key", Id, primary_key=True),
    Column("value", Word, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What is still to be added to the tallies. Empty on SQLite, which has one writer at a time.
tally_changes = Table(
    "tally_changes",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("alert_id", Id, nullable=False, index=True),
    Column("kind", Word, nullable=False),
    Column("key", Id, nullable=False),
    Column("value", Word, nullable=False),
    Column("count", BigInteger, nullable=False),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    # No foreign keys: a whole town answers at once, each of five costs PostgreSQL a query and a lock for every answer,
    # and what they hold comes from the recipient's row, which whoever keeps an answer has read.
    Column("recipient_id", Serial, primary_key=True, autoincrement=False),
    Column("alert_id", Id, nullable=False),
    Column("person_id", Id, nullable=False),
    *(
        column
        for which in ("first", "last")
        for column in (
            Column(f"{which}_answer", Id),
            Column(f"{which}_comment", Text),
            Column(f"{which}_way", Word, nullable=False),
            Column(f"{which}_by", Id, nullable=False),
            Column(f"{which}_revision", Integer, nullable=False),
            Column(f"{which}_late", Boolean, nullable=False),
            Column(f"{which}_answered_at", UtcDateTime, nullable=False),
            Column(f"{which}_received_at", UtcDateTime, nullable=False),
        )
    ),
    Index("ix_acknowledgements_alert_id_last_received_at", "alert_id", "last_received_at"),
    # Whoever answers once, as nearly everybody does, is not in it and costs nothing.
    Index(
        "ix_acknowledgements_changed",
        "alert_id",
        postgresql_where=literal_column("first_received_at <> last_received_at"),
        sqlite_where=literal_column("first_received_at <> last_received_at"),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("alert_id", Id, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("subscription_id", Id, nullable=False, index=True),
    Column("recipient_id", Serial, nullable=False, index=True),
    Column("channel", Word, nullable=False),
    Column("lane", Lane, nullable=False),
    Column("state", Word, nullable=False),
    Column("reason", String(500)),
    Column("attempt", Integer, nullable=False),
    Column("tries", Integer, nullable=False),  # attempts that count against the retry policy
    Column("holds", Integer, nullable=False),  # how often our own fault held it
    Column("rank", Integer, nullable=False),  # lower goes first: see core.delivery.rank
    Column("due_at", UtcDateTime, nullable=False),
    Column("worker_id", Id),  # who holds the lease while sending
    Column("provider", Word),  # primary | secondary
    Column("provider_id", String(500)),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("accepted_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("displayed_at", UtcDateTime),
    Column("fetched_at", UtcDateTime),  # somebody or something fetched its link: proves nothing
    Column("opened_at", UtcDateTime),
    UniqueConstraint("alert_id", "revision", "step", "repeat", "subscription_id", name="uq_deliveries_key"),
    # Whole slices are due at the same moment: without their ids each claim would sort all that wait.
    Index("ix_deliveries_channel_state_rank_due_at_id", "channel", "state", "rank", "due_at", "id"),
    Index("ix_deliveries_state_worker_id", "state", "worker_id"),
)
# What proves that its way works: what came of the message, or the answer that came back by it. Who opened the link in a
# push is not known by device, nor which of them was answered on. Queries put these as they stand here, word for word.
IS_PROOF: Final = or_(
    deliveries.c.delivered_at.is_not(None),
    deliveries.c.displayed_at.is_not(None),
    and_(deliveries.c.opened_at.is_not(None), deliveries.c.channel != literal_column("'webpush'")),
)
IS_BY_LINK: Final = acknowledgements.c.last_way.in_([literal_column(f"'{way.word}'") for way in PROVES])
# What only few rows have costs the others nothing.
for index, column, is_there in (
    ("ix_acknowledgements_by_link", acknowledgements.c.person_id, IS_BY_LINK),
    ("ix_deliveries_proof", deliveries.c.subscription_id, IS_PROOF),
    ("ix_deliveries_provider_id", deliveries.c.provider_id, deliveries.c.provider_id.is_not(None)),
    ("ix_deliveries_held", deliveries.c.alert_id, deliveries.c.state == literal_column("'held'")),
):
    Index(index, column, postgresql_where=is_there, sqlite_where=is_there)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Serial, ForeignKey("deliveries.id"), primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("worker_id", Id, nullable=False),
    Column("provider", Word),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", Word),
    Column("reason", String(500)),
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("channel", Word, nullable=False),
    Column("provider_id", String(500), nullable=False),
    Column("delivered", Boolean),  # null: on its way
    Column("reason", String(500)),
    Column("retire", Boolean, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime),
    Index("ix_receipts_applied_at_provider_id", "applied_at", "provider_id"),
)

replies = Table(
    "replies",
    metadata,
    Column("channel", Word, primary_key=True),
    Column("message_id", String(200), primary_key=True),
    Column("answer", Text, nullable=False),  # what was written back: a repeated call gets it again and does nothing
    Column("received_at", UtcDateTime, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", Id, ForeignKey("alerts.id"), nullable=False),
    Column("facts", JSON, nullable=False),  # the alert as it stood then, so that a replay says what was said
    made_at(),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("role", Word, nullable=False),  # web | worker | clock | bounces
    Column("channel", Word),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("beat", BigInteger, nullable=False),  # counts up while alive; observers watch it move, not its time
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

# What each worker's circuits keep it from; only those that are not closed stand here.
circuits = Table(
    "circuits",
    metadata,
    Column("worker_id", Id, primary_key=True),
    Column("channel", Word, primary_key=True),
    Column("provider", Word, primary_key=True),
    Column("lane", Lane, primary_key=True),
    Column("state", Word, nullable=False),  # open | half-open
    Column("reason", String(500)),
    Column("since", UtcDateTime, nullable=False),
)

# Counts of outcomes that only ever rise.
outcomes = Table(
    "outcomes",
    metadata,
    Column("channel", Word, primary_key=True),
    Column("provider", Word, primary_key=True),
    Column("outcome", Word, primary_key=True),
    Column("code", String(40), primary_key=True),  # the provider's number or word for it, or ""
    Column("count", BigInteger, nullable=False),
)

# What was used up of what costs money, by day of the installation's time zone.
usage = Table(
    "usage",
    metadata,
    Column("channel", Word, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("units", BigInteger, nullable=False),  # SMS parts
    Column("warned", Integer, nullable=False),  # the last percentage of the ceiling that was warned of
)

self_tests = Table(
    "self_tests",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("alert_id", Id, ForeignKey("alerts.id")),  # null: there was nobody to send it to
    Column("due_at", UtcDateTime, nullable=False),  # when it is to have arrived
    Column("checked_at", UtcDateTime),
    Column("failures", JSON),  # what no provider took, by channel; empty when everything was taken
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("person_id", Id, ForeignKey("people.id"), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("response", JSON),
    made_at(),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("actor", Id, nullable=False),
    Column("action", String(50), nullable=False),
    Column("object", String(200), nullable=False),
    Column("details", JSON, nullable=False),
)
