"""What codes are called on pages, and the refusals of the use cases in the reader's language."""

import re
from typing import Final

from alertd.core.alert import Language
from alertd.web.translations import TRANSLATIONS, marked

CHANNELS: Final = {
    "webpush": marked("Push notification"),
    "sms": marked("SMS"),
    "email": marked("E-mail"),
}

# Each says what is proven and no more: `sent` is not `arrived`.
STATES: Final = {
    "pending": marked("Waiting to be sent"),
    "sending": marked("Being sent"),
    "sent": marked("Handed to the provider"),
    "delivered": marked("Arrived at the device"),
    "failed": marked("Failed"),
    "held": marked("Held back: needs an operator"),
    "expired": marked("Expired before it was sent"),
    "cancelled": marked("Called off"),
}

WAYS: Final = {
    "websocket": marked("this page, live"),
    "api": marked("a program"),
    "page": marked("this page"),
    "push": marked("the push notification"),
    "sms-link": marked("the link in the SMS"),
    "email-link": marked("the link in the e-mail"),
    "sms-reply": marked("an SMS reply"),
    "proxy": marked("somebody else (proxy)"),
    "link": marked("a personal link"),
}

# The use cases refuse in English, with the particulars in place; here is what to find again in each sentence.
_REFUSALS: Final = tuple(
    (re.compile(pattern, re.DOTALL), message)
    for pattern, message in (
        (r"must not be blank", marked("Please fill this in.")),
        (r"must be at most (?P<most>\d+) characters", marked("At most %(most)s characters.")),
        (r"must be (?P<least>\d+) to (?P<most>\d+) characters", marked("Use %(least)s to %(most)s characters.")),
        (r"must be 1 to (?P<most>\d+) choices", marked("Give 1 to %(most)s choices, one per line.")),
        (
            r"says that it is a drill, but drill is false.*",
            marked("The title says drill, but this is a real alert. Change the title, or choose drill."),
        ),
        (r"is not your password", marked("That is not your password.")),
        (r"must not hold control characters", marked("This holds characters that cannot be sent.")),
        (r"must be one of (?P<choices>.+)", marked("Please choose one.")),
        (r"there is no board '(?P<name>.+)'", marked("There is no board “%(name)s”.")),
        (r"there is no group '(?P<name>.+)'", marked("There is no group “%(name)s”.")),
        (r"there is no person '(?P<name>.+)'", marked("There is no person “%(name)s”.")),
        (r"'(?P<name>.+)' is not active", marked("“%(name)s” is no longer active.")),
        (r"'(?P<name>.+)' is not a recipient of this alert", marked("“%(name)s” did not get this alert.")),
        (r"holds no active person", marked("There is nobody in it.")),
        (r"must be everyone, or name at least one .+", marked("Choose who gets it.")),
        (r"is either everyone, or groups and people", marked("Choose either everyone, or groups and people.")),
        (r"an urgent post must say whether it is a drill.*", marked("Say whether this is a drill or real.")),
        (r"lies in the past", marked("This lies in the past.")),
        (r"must be within (?P<days>\d+) days", marked("At most %(days)s days.")),
        (r"too many requests: try again in (?P<wait>\d+) seconds", marked("Too often. Try again in %(wait)s seconds.")),
        (r"the name or the password is not right", marked("The ID or the password is not right.")),
        (
            r"this link was used before or is too old.*",
            marked("This link was used before or is too old. Ask for a new one."),
        ),
        (r"this link (is not complete or not ours|belongs to no alert)", marked("This link is not complete.")),
        (r"this form is from another session.*", marked("This form is too old. Load the page again.")),
        (r"this request comes from a page of another site", marked("This form came from another site.")),
        (r"this takes the role .+", marked("Your role does not allow this.")),
        (r"only a manager can answer for somebody else", marked("Your role does not allow this.")),
        (r"this alert asks no question.*", marked("This alert asks no question.")),
        (r"this Idempotency-Key was used for another post.*", marked("This form was sent before with other text.")),
        (r"there is no (?P<what>\w+) '.*'.*", marked("There is no such thing, or it is not for you.")),
        (
            r"nothing was done, or it is not known whether it was.*",
            marked("It may or may not have been done. Wait a moment, then look whether it was, and try again."),
        ),
        (r"something went wrong here.*", marked("It is in the log. Try again, and tell whoever is in charge.")),
        (r"there is nothing at .*", marked("Check the address.")),
        (r"\w+ is not possible at .*", marked("Go back and load the page again.")),
        (r"a request's body may have at most \d+ bytes", marked("This is more than can be sent at once.")),
        (r"send the body as .*|the form is not urlencoded UTF-8", marked("Go back and load the page again.")),
        (r"sign in, or send a bearer token", marked("Please sign in.")),
        (r"no address of any kind", marked("no phone, no mail, no device")),
    )
)


def translate(message: str, language: Language) -> str:
    """A refusal in `language`; as it came when it is not known here."""
    for pattern, translatable in _REFUSALS:
        match = pattern.fullmatch(message)
        if match:
            return str(TRANSLATIONS[language].gettext(translatable)) % match.groupdict()
    return message
