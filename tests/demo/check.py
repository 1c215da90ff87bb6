"""Whether everyone who can be reached was reached, by what the demo itself has set up and seen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.demo.progress import CHANNELS, Progress

_COPIES: Final = {
    "websocket": "live frames",
    "webpush": "push messages",
    "sms": "SMS",
    "email": "letters",
}


def faults(progress: Progress, recipients: Sequence[Mapping[str, Any]]) -> list[str]:
    """Everything that is not as it must be, in words. `recipients` is everybody, as alertd lists them at the end."""
    found = [fault for channel in CHANNELS for fault in _channel_faults(progress, channel)]
    return [*found, *_answer_faults(progress, recipients), *progress.troubles]


def _channel_faults(progress: Progress, channel: str) -> list[str]:
    expected, arrivals = progress.expected[channel], progress.arrivals[channel]
    counts = Counter(arrival.address for arrival in arrivals)
    missing, unwanted = expected - counts, counts - expected
    wrong = [f"{_COPIES[channel]}: what came to {each.address} {each.fault}" for each in arrivals if each.fault]
    found = []
    if missing:
        found.append(f"{_COPIES[channel]}: {missing.total()} of {expected.total()} did not arrive: {_some(missing)}")
    if unwanted:
        found.append(f"{_COPIES[channel]}: {unwanted.total()} came that should not have, or twice: {_some(unwanted)}")
    return [*found, *wrong]


def _answer_faults(progress: Progress, recipients: Sequence[Mapping[str, Any]]) -> list[str]:
    given = {person: (answer.way.value, answer.choice) for person, answer in progress.answers.items()}
    kept = {
        recipient["person"]["id"]: (recipient["acknowledgement"]["way"], recipient["acknowledgement"]["answer"])
        for recipient in recipients
        if recipient["acknowledgement"]
    }
    addressed = {recipient["person"]["id"] for recipient in recipients}
    staff = {person.id for person in progress.town.people}
    silent = [person.name for person in progress.town.people if person.way and person.id not in given]
    found = []
    if addressed != staff:
        found.append(f"the alert went to {len(addressed)} people and not to the {len(staff)} on the staff")
    for person_id in sorted(given.keys() | kept.keys()):
        if given.get(person_id) != kept.get(person_id):
            found.append(f"{person_id} gave the answer {given.get(person_id)}; alertd has {kept.get(person_id)}")
    if silent:
        found.append(f"{len(silent)} wanted to answer and did not: {_some(silent)}")
    return found


def _some(names: Counter[str] | Sequence[str]) -> str:
    listed = sorted(set(names))
    return ", ".join(listed[:5]) + (" …" if len(listed) > 5 else "")
