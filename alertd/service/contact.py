"""Phone numbers and mail addresses as people write them, made into the one form that is kept."""

import re
import unicodedata
from typing import Final

import phonenumbers

EMAIL_MAX: Final = 254  # RFC 5321 section 4.5.3.1.3 less the angle brackets
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z"
)


def normalise_phone(raw: str, region: str) -> str:
    """`raw` in E.164. Raises ValueError which says what would be right; full-width digits are fine."""
    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", raw), region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number) or number.extension:
        raise ValueError("is not a phone number: write it like 090-1234-5678 or +819012345678")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normalise_email(raw: str) -> str:
    """`raw` as one mail address. Raises ValueError which says what would be right."""
    address = raw.strip()
    local, _, _domain = address.rpartition("@")
    # Two dots and a dot at the end are no dot-atom (RFC 5322), yet some carriers have given out such addresses.
    if len(address) > EMAIL_MAX or not _EMAIL.match(address) or not local:
        raise ValueError("is not a mail address: write it like name@example.jp, in plain ASCII")
    return address
