"""A topic of Garoon's bulletin board, whichever way it was asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it stands. Authors are login names; the sender that somebody may type in by hand is no proof."""

    id: str
    subject: str
    body: str  # as plain text
    author: str
    author_name: str
    editor: str  # who changed it last
    category_id: str
    category: str
    created_at: datetime
    updated_at: datetime
    is_published: bool  # to be read now: no draft, and within its time
    ends_at: datetime | None
    files: Sequence[str]
    url: str


@dataclass(frozen=True, slots=True)
class Listed:
    """What a look at the board came to."""

    changed: Mapping[str, int]  # by id, when they were last changed, in seconds since 1970
    lost: Sequence[str] = field(default=())  # known ones that are not there any more
    fault: str = ""  # what could not be looked at
