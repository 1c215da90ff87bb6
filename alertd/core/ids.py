"""Names for rows: sortable by time, unguessable, safe in URLs and as a push Topic."""

import re
from datetime import datetime
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32, as ULID uses it
_RANDOM_BITS: Final = 80

ID_MAX: Final = 64
_GIVEN: Final = re.compile(r"[^\W_][\w.@+-]{0,63}\Z")
# Whoever was called so could not be opened: in addresses these stand where an id does, and lead to pages of their own.
_TAKEN: Final = frozenset({"new", "import", "invitations", "reachability", "reachability.csv"})


def make_id(now: datetime, randomness: bytes) -> str:
    """A ULID: 48 bits of milliseconds, 80 bits of `randomness` (10 bytes); 26 characters."""
    value = int(now.timestamp() * 1000) << _RANDOM_BITS | int.from_bytes(randomness[:10], "big")
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def given_id_fault(value: str) -> str | None:
    """What is wrong with an id that somebody chose (a person's, a group's, a board's); None when nothing is."""
    if value in _TAKEN:
        return f"{value!r} stands for a page in addresses: choose another"
    if _GIVEN.match(value):
        return None
    return f"must be 1 to {ID_MAX} letters, digits or . @ + - _ and begin with a letter or digit"
