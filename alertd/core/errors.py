"""What can be wrong with a request, in the words of the API.

::

    Fault
    ├── Unauthenticated  401   who are you?
    ├── Forbidden        403   not for your role
    ├── NotFound         404   no such thing, or not yours to see
    ├── Conflict         409   true of another request, not of this one
    ├── Invalid          422   understood, and refused; `details` names each field
    ├── TooMany          429   later
    └── DiskFull         503   later, when there is room again
"""

from collections.abc import Sequence
from typing import ClassVar


class Fault(Exception):
    """A refusal that the asker can understand. `details` holds (field, message)."""

    code: ClassVar[str]

    def __init__(self, message: str, details: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class Unauthenticated(Fault):
    code = "unauthenticated"


class Forbidden(Fault):
    code = "forbidden"


class NotFound(Fault):
    code = "not_found"


class Conflict(Fault):
    code = "conflict"


class Invalid(Fault):
    code = "invalid"

    def __init__(self, details: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in details), details)


class TooMany(Fault):
    code = "too_many_requests"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DiskFull(Fault):
    code = "disk_full"
    retry_after: ClassVar[int] = 60


class AddressError(ValueError):
    """An address that its channel cannot use. `field` names the faulty part."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class StoreUnavailable(Exception):
    """The store cannot do this now; nothing was done, or it is not known whether it was. Try again."""
