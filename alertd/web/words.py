"""What codes are called on pages, and the refusals of the use cases in the reader's language."""

import re
from typing import Final

from alertd.core.alert import Language
from alertd.web.translations import TRANSLATIONS, marked

CHANNELS: Final = {
    "webpush": marked("Push notification"),
    "sms": marked("SMS"),
    "email": marked("E-mail"),
    "slack": marked("Slack"),
    "teams": marked("Microsoft Teams"),
}

# What the addresses are called that a person's record may hold beside phone and mail, and how one is written.
ADDRESSES: Final = {
    "slack": (marked("Slack member ID"), marked("In Slack: profile, “…”, “Copy member ID”. It begins with U or W.")),
    "teams": (marked("Webhook in Microsoft Teams"), marked("The https address that their workflow in Teams shows.")),
}

HAZARDS: Final = {
    "earthquake": marked("Earthquake"),
    "tsunami": marked("Tsunami"),
    "flood": marked("Flood and storm"),
    "landslide": marked("Landslide"),
    "fire": marked("Fire"),
    "missing": marked("Missing person"),
    "outage": marked("Power or water cut"),
    "callout": marked("Staff call-out"),
    "drill": marked("Exercise"),
    "other": marked("Other"),
}

TOLD: Final = {
    "alert.created": marked("when an alert is sent"),
    "alert.revised": marked("when it is updated, called off or over"),
    "alert.counts": marked("how many have answered, every 10 seconds at most"),
}

SHORT_CHANNELS: Final = {
    "webpush": marked("Push"),
    "sms": marked("SMS"),
    "email": marked("Mail"),
    "slack": marked("Slack"),
    "teams": marked("Teams"),
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
    "cancelled": marked("Called off or replaced before it was sent"),
}

# The evidence ladder: each rung with what it proves and what not.
RUNGS: Final = (
    (
        "queued",
        marked("Written down"),
        marked("This system has the message and is to send it. That alone does not mean that it has left."),
    ),
    (
        "accepted",
        marked("Taken over by the provider"),
        marked("The push service, the SMS company or the mail server has it. The phone may not."),
    ),
    (
        "delivered",
        marked("Arrived at the device"),
        marked("The telephone company says that the phone has it. Nobody may have looked at it."),
    ),
    (
        "displayed",
        marked("Shown on the screen"),
        marked("The phone itself says that it shows the message. iPhones may not say so even if they do."),
    ),
    (
        "opened",
        marked("Opened"),
        marked("Somebody touched the page behind the link, or had it before their eyes. They may not have read it."),
    ),
    (
        "acknowledged",
        marked("Answered"),
        marked("The person pressed a button or replied. Only this proves that they know. People are counted here."),
    ),
)
# What nobody tells us on these ways, whatever happens.
UNKNOWABLE: Final = frozenset(
    {
        *(("webpush", "delivered"), ("sms", "displayed"), ("email", "displayed")),
        *((channel, rung) for channel in ("slack", "teams") for rung in ("delivered", "displayed")),
    }
)

# Who vouches for a rung.
# What kinds of sources need to be asked, by the name of the field; each kind takes those that it has.
ACCESS_FIELDS: Final = {
    "feed": marked("Address of the feed"),
    "feeds": marked("Addresses of the feeds"),
    "links": marked("What the addresses of messages begin with, when they lie elsewhere"),
    "token": marked("Secret that it wants (token)"),
    "url": marked("Address (Garoon: up to /g, or up to grn.cgi or grn.exe on one's own server; kintone: the host)"),
    "app": marked("Number of the app"),
    "guest": marked("Number of the guest space (empty: none)"),
    "query": marked("Only records for which this is true (empty: all)"),
    "state_field": marked("Text field that says how many have answered (empty: none)"),
    "api": marked("Which interface (rest: cloud; soap: package)"),
    "login": marked("Login name"),
    "password": marked("Password there"),
    "categories": marked("Numbers of the categories that are read"),
    "comment": marked("Write how many have answered as a comment there"),
    "notify_code": marked(
        "Code under which people are notified in their lists there (Garoon: 外部通知コード; empty: nobody)"
    ),
    "notify_login": marked("What of a person is their login name there (id; email: mail address)"),
    "types": marked("Codes of telegrams that are wanted (how they begin)"),
    "offices": marked("Offices whose warnings are wanted (six digits; empty: all)"),
}

ACTIONS: Final = {
    "ignore": marked("Not sent"),
    "board": marked("Put on the board"),
    "draft": marked("Written as a draft"),
    "alert": marked("Alert"),
    "update": marked("Update of what was sent"),
    "stand-down": marked("Said that it is over"),
}

OBSERVED_STATES: Final = {
    "due": marked("goes out soon"),
    "going": marked("goes out now"),
    "waiting": marked("waits for a person"),
    "stopped": marked("stopped by a person"),
    "superseded": marked("a later one took its place"),
}

SOURCES: Final = {
    "primary": marked("says the provider"),
    "secondary": marked("says the second provider"),
    "provider": marked("says the provider"),
    "receipt": marked("says the receipt of the provider"),
    "beacon": marked("says the phone itself"),
    "page": marked("seen by our page"),
}

# What a revision of an alert is.
KINDS: Final = {"alert": marked("First message"), "update": marked("Update"), "cancel": marked("Called off")}

WAYS: Final = {
    "websocket": marked("this page, live"),
    "api": marked("a program"),
    "page": marked("this page"),
    "push": marked("the push notification"),
    "sms-link": marked("the link in the SMS"),
    "email-link": marked("the link in the e-mail"),
    "slack-link": marked("the link in Slack"),
    "teams-link": marked("the link in Microsoft Teams"),
    "sms-reply": marked("an SMS reply"),
    "proxy": marked("somebody else (proxy)"),
    "link": marked("a personal link"),
}

ROLES: Final = {
    "staff": marked("Staff"),
    "viewer": marked("Viewer"),
    "manager": marked("Manager"),
    "admin": marked("Administrator"),
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
        (r"Field required", marked("This is missing.")),
        (r"Extra inputs are not permitted", marked("There is nothing of this name.")),
        (r"(Input should be|must be among) (?P<choices>.+)", marked("It must be: %(choices)s.")),
        (r"there is no source '(?P<name>.+)'", marked("There is no source “%(name)s”.")),
        (
            r"(?P<count>\d+) people were not notified there, the last of them (?P<name>\S+): (?P<why>.+)",
            marked("Not notified in their lists there: %(count)s. The last of them: %(name)s. %(why)s"),
        ),
        (
            r"people could not be notified there: (?P<why>.+)",
            marked("People could not be notified in their lists there. It is tried again. %(why)s"),
        ),
        (r"must say who is alerted: .*", marked("Say who is alerted: everyone, or at least one group.")),
        (r"are not TOML: (?P<why>.+)", marked("This is not TOML: %(why)s.")),
        (r"are not PEM: .*", marked("This is not PEM: each certificate begins with -----BEGIN CERTIFICATE-----.")),
        (
            r"hold a private key: .*",
            marked("This holds a private key, which belongs to the signer alone. It needs a new one now."),
        ),
        (r"hold a certificate that cannot be read", marked("One of the certificates cannot be read.")),
        (
            r"must have RSA keys of .*",
            marked("A key is too weak: it takes RSA of 2048 bits, or a curve of 256, or more."),
        ),
        (r"are only for sources of the kind .*", marked("Only messages in CAP carry signatures that are verified.")),
        (r"is only for sources of the kind .*", marked("Only messages in CAP carry signatures that are verified.")),
        (
            r"nobody's signature is believed: give '(?P<name>.+)' a certificate first",
            marked("Nobody’s signature is believed yet: give the source “%(name)s” a certificate first."),
        ),
        (
            r"the rule '(?P<name>.+)' asks for signatures of this source.*",
            marked("The rule “%(name)s” asks for signatures of this source. Change the rule first."),
        ),
        (
            r"somebody has saved other rules meanwhile.*",
            marked("Somebody has saved other rules meanwhile. Look at them, then save yours again."),
        ),
        (
            r"has nothing to put in place of (?P<names>.+)",
            marked("The template's field %(names)s has nothing to fill it, so these are the source's own words."),
        ),
        (r"there is no template '(?P<name>.+)'", marked("There is no template “%(name)s”.")),
        (
            r"has the field '(?P<name>.+)', for which .*",
            marked("Nothing fills the template's field %(name)s. Say under fill what takes its place."),
        ),
        (r"there is no field '(?P<name>.+)' in the title or the text", marked("There is no field %(name)s.")),
        (
            r"names '(?P<name>.+)', which no observation has: there are (?P<names>.+)",
            marked("There is no “%(name)s”. There are: %(names)s"),
        ),
        (r"is for the fields of a template: .*", marked("This is for a template's fields: name the template too.")),
        (r"must be a date such as .*", marked("Write a date like 2026-11-22.")),
        (r"must not be later than the other date", marked("This is after the other date.")),
        (r"must be at most (?P<most>\d+) days before the other date", marked("At most %(most)s days at once.")),
        (r"what it follows was not sent.*", marked("What it follows was not sent. Send this one instead, or stop it.")),
        (r"is not your password", marked("That is not your password.")),
        (r"must not hold control characters", marked("This holds characters that cannot be sent.")),
        (r"must be one of (?P<choices>.+)", marked("Please choose one.")),
        (r"there is no board '(?P<name>.+)'", marked("There is no board “%(name)s”.")),
        (
            r"must not say whether it is a drill.*",
            marked("A template must not say whether it is a drill: whoever uses it does."),
        ),
        (r"must be at most (?P<most>\d+) fields", marked("At most %(most)s fields.")),
        (
            r"the plan is used by the template '(?P<name>.+)'.*",
            marked("The template “%(name)s” uses this plan. Choose another plan there first."),
        ),
        (r"there is no plan '(?P<name>.+)'", marked("There is no plan “%(name)s”.")),
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
        (
            r"this code is wrong.*",
            marked("This code is wrong, was used before or is too old. Make a new one."),
        ),
        (r"there is no way to reach you.*", marked("There is no way to reach you: no phone, no mail, no push.")),
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
        (
            r"the disk is full.*",
            marked("The disk is full: nothing new can be posted. Alerts that were sent before go on. Free some space."),
        ),
        (r"no address of any kind", marked("no phone, no mail, no device")),
        (r"must be a time like 22:00", marked("Write a time like 22:00.")),
        (r"must begin and end at different times", marked("The two times must differ.")),
        (r"this alert is called off already.*", marked("This alert was called off already.")),
        (r"this alert is over already.*", marked("This alert is over. Write a new post.")),
        (
            r"people were reminded less than a minute ago.*",
            marked("People were reminded less than a minute ago. Nothing is sent twice: look who has answered."),
        ),
        (
            r"people were reminded (?P<times>\d+) times already.*",
            marked("People were reminded %(times)s times already. Call those who are left."),
        ),
        (
            r"this alert says something else by now.*",
            marked("Somebody has updated this alert meanwhile. Look at it, then decide again."),
        ),
        (
            r"says that it is a drill, but the alert is real.*",
            marked("The title says drill, but this alert is real. Change the title."),
        ),
        (r"must have at least one step", marked("Fill in at least one row.")),
        (r"must have at most (?P<most>\d+) steps", marked("At most %(most)s rows.")),
        (r"must name at least one of .+", marked("Tick at least one way.")),
        (r"must not come before the step above it", marked("This must not come before the row above it.")),
        (r"must be 0: the first step.*", marked("The first row goes out at once: write 0.")),
        (r"must be outstanding: the first step.*", marked("The first row goes to the people themselves.")),
        (r"comes after the alert is over", marked("The plan takes longer than the alert is valid.")),
        (r"must be 0 to (?P<most>\d+)", marked("Write the minutes as a number, at most 7 days (10080).")),
        (r"must be at least (?P<least>\d+)", marked("At least 1 minute.")),
        (
            r"is neither UTF-8 nor cp932.*|holds NUL characters.*|is not CSV: .*",
            marked("This is no CSV file. In Excel, save it as “CSV UTF-8”."),
        ),
        (r"unknown column '(?P<name>.{0,80}).*", marked("The first row names a column that is not known: %(name)s")),
        (r"column '(?P<name>.+)' is missing", marked("The column %(name)s is missing from the first row.")),
        (r"column '(?P<name>.+)' stands twice", marked("The column %(name)s stands twice in the first row.")),
        (r"has no rows below its header", marked("There is nobody in this file.")),
        (r"has more than (?P<most>\d+) rows", marked("The file has more than %(most)s rows.")),
        (
            r"has (?P<cells>\d+) cells where the header has (?P<names>\d+)",
            marked("This row has %(cells)s cells, but the first row has %(names)s."),
        ),
        (r"'(?P<id>.*)' stands in row (?P<row>\d+) already", marked("“%(id)s” stands in row %(row)s already.")),
        (r"'(?P<word>.*)' is neither true nor false", marked("Write true or false, not “%(word)s”.")),
        (r"there are groups below it.*", marked("There are groups below it: move or delete them first.")),
        (r"there are (?P<most>\d+) people in it.*", marked("There are %(most)s people in it: take them out first.")),
        (
            r"posts were addressed to it.*",
            marked("Posts were addressed to it: it must stay, so that they still say to whom they went."),
        ),
        (r"'(?P<name>.+)' is '.+' itself or below it", marked("A group cannot be part of itself.")),
        (
            r"are (?P<count>\d+) people: at most (?P<most>\d+) at once",
            marked("These are %(count)s people. At most %(most)s at once: choose smaller groups."),
        ),
        (r"is not a possible phone number.*", marked("This is no phone number. Write it like 090-1234-5678.")),
        (
            r"should be like name@example.jp.*|.* is not a domain|is longer than \d+ characters",
            marked("This is no mail address. Write it like name@example.jp."),
        ),
        (r"is not a Slack member ID.*", marked("This is no Slack member ID. It begins with U or W, like U012AB3CD.")),
        (
            r"is not an absolute URL|must not hold a (fragment|user name)",
            marked("This is no webhook address. Copy all of it; it begins with https://."),
        ),
        (r"you cannot deactivate yourself", marked("You cannot deactivate yourself: somebody else has to do that.")),
        (r"you cannot change your own role", marked("You cannot change your own role: another admin has to do that.")),
        (
            r"'(?P<name>.+)' was changed meanwhile",
            marked("Somebody has changed this person meanwhile. Load the page again."),
        ),
        (r"'(?P<name>.+)' has a higher role than you.*", marked("“%(name)s” has a higher role than you.")),
        (
            r"'(?P<name>.+)' stands for a page in addresses: .*",
            marked("“%(name)s” is the address of a page of this system: choose another ID."),
        ),
        (
            r"must be 1 to (?P<most>\d+) letters, digits or .*",
            marked("Use 1 to %(most)s letters, digits or . @ + - _ and begin with a letter or digit."),
        ),
        (
            r"must be https on port 443",
            marked("Use an address with https://. One inside the town hall is first to be allowed by the operator."),
        ),
        (r"must be an https address", marked("This is no address. Write it like https://chat.example.jp/hook.")),
        (r"must not carry a user or a password", marked("Leave the user and the password out of the address.")),
        (
            r"'(?P<host>.+)' is not a public address",
            marked("%(host)s is inside. The operator is first to allow it by ALERTD_WEBHOOK_HOSTS."),
        ),
        (r"there is a webhook '.+' already", marked("There is one of this name.")),
        (r"must be one or more of .*", marked("Tick at least one.")),
        (
            r"there are (?P<most>\d+) webhooks already: .*",
            marked("There are %(most)s webhooks already. Delete one first."),
        ),
        (r"must be 1 to (?P<most>\d+)", marked("Use 1 to %(most)s.")),
        (r"(?P<where>.+?) cannot be reached: (?P<why>.*)", marked("%(where)s cannot be reached (%(why)s).")),
        (
            r"(?P<where>.+?) did not answer within (?P<seconds>\d+) s",
            marked("%(where)s did not answer within %(seconds)s seconds."),
        ),
        (
            r"(?P<where>.+?) answered (?P<status>40[13].*)",
            marked("%(where)s refuses: %(status)s. Check the login, password or token, and what it may read."),
        ),
        (
            r"(?P<where>.+?) answered 30\d, and sends us elsewhere, to (?P<place>.*): that is not followed",
            marked(
                "%(where)s sends us elsewhere, which is not followed: %(place)s. "
                "Write that address if it is the right one."
            ),
        ),
        (r"(?P<where>.+?) answered (?P<status>\d+ .*)", marked("%(where)s answered: %(status)s.")),
        (
            r"the rules do not say how to read its records: .*",
            marked("The rules do not say how to read its records: write [mapping.…] with this source’s name there."),
        ),
        (
            r"record (?P<number>\d+): the mapping says nothing of '(?P<word>.*)'",
            marked("The mapping says nothing of the word “%(word)s” in record %(number)s."),
        ),
        (
            r"(?:.*: )?'(?P<host>[^']+)' is not a host that this installation knows",
            marked(
                "%(host)s is not among the hosts that may be called: "
                "the operator names it in ALERTD_SOURCE_HOSTS, for Teams in ALERTD_TEAMS_HOSTS."
            ),
        ),
    )
)


def translate(message: str, language: Language) -> str:
    """A refusal in `language`; as it came when it is not known here."""
    for pattern, translatable in _REFUSALS:
        match = pattern.fullmatch(message)
        if match:
            return str(TRANSLATIONS[language].gettext(translatable)) % match.groupdict()
    return message


# Why a message did not get through, by channel ("" is any), as providers and this system word it. Ours are named so.
_CAUSES: Final = tuple(
    (channel, re.compile(pattern, re.DOTALL | re.IGNORECASE), message)
    for channel, pattern, message in (
        ("", r"superseded by .*", marked("A newer version took its place.")),
        ("", r"\w+ is not set up.*", marked("This way is not set up in this system.")),
        ("", r"the worker died while sending", marked("Sending was interrupted. It is tried again.")),
        ("", r"the address was taken away", marked("The address was changed or removed meanwhile.")),
        ("", r"expired", marked("The alert was over before it could be sent.")),
        ("", r"internal error.*", marked("Something broke on our side. It is tried again.")),
        ("webpush", r"(404|410)\b.*", marked("The phone no longer takes notifications: turn them on there again.")),
        ("webpush", r"subscribed under a key.*|the subscription's keys.*",
         marked("The phone no longer takes notifications: turn them on there again.")),
        ("webpush", r"(401|403)\b.*|there is no VAPID key",
         marked("Our own fault: the push service does not accept our key.")),
        ("webpush", r"413\b.*", marked("The message was too long.")),
        ("webpush", r"429\b.*", marked("The push service asks us to wait. It is tried again.")),
        ("webpush", r"5\d\d\b.*", marked("The push service has trouble of its own. It is tried again.")),
        ("webpush", r"(4|3)\d\d\b.*|endpoint: .*|the endpoint cannot.*",
         marked("The push service does not take the message.")),
        ("sms", r"(\d{3} |\w+ )?(21211|21217|30005)\b.*", marked("This phone number does not exist.")),
        ("sms", r"(\d{3} |\w+ )?(21614|21635|30006)\b.*", marked("This number takes no SMS: it is no mobile phone.")),
        ("sms", r"(\d{3} |\w+ )?21610\b.*", marked("This person has stopped our SMS by replying STOP.")),
        ("sms", r"(\d{3} |\w+ )?30003\b.*", marked("The phone is switched off or out of reach.")),
        ("sms", r"(\d{3} |\w+ )?(30004|30007)\b.*", marked("The telephone company blocked the message.")),
        ("sms", r"(\d{3} |\w+ )?(30008|30410)\b.*", marked("The telephone company could not deliver it.")),
        ("sms", r"(\d{3} |\w+ )?(20003|20005|20006|20008|20404|30002)\b.*|(401|403)\b.*",
         marked("Our own fault: the SMS company does not accept our account.")),
        ("sms", r"(\d{3} )?(21212|21603|21606|21659|21660|21661|2170\d)\b.*",
         marked("Our own fault: the sender’s number is not right.")),
        ("sms", r"(\d{3} )?21408\b.*", marked("Our own fault: our account may not send to that country.")),
        ("sms", r"402\b.*", marked("Our own fault: the account has no credit.")),
        ("sms", r"(\d{3} )?(20429|14107|21611|30001)\b.*|429\b.*",
         marked("The SMS company asks us to wait. It is tried again.")),
        ("sms", r"5\d\d\b.*", marked("The SMS company has trouble of its own. It is tried again.")),
        ("sms", r"(undelivered|failed|canceled)\b.*", marked("The telephone company could not deliver it.")),
        ("email", r"53[0458]\b.*", marked("Our own fault: the mail server does not accept our password.")),
        ("email", r"552\b.*|\d{3} \d\.2\.2\b.*", marked("The mailbox is full.")),
        ("email", r"55[013] [45]\.1\.\d\b.*|\d\.1\.\d\b.*", marked("This mail address does not exist.")),
        ("email", r"\d{3} [45]\.7\.\d\b.*", marked("The mail server refuses our mails.")),
        ("email", r"4\d\d\b.*", marked("The mail server asks us to wait. It is tried again.")),
        ("email", r"5\d\d\b.*", marked("The mail server refuses the message.")),
        ("email", r"the relay's certificate .*", marked("Our own fault: the mail server cannot be trusted.")),
        ("slack", r"(channel_not_found|user_not_found|user_disabled|is_archived)",
         marked("Slack knows no such member, or they were deactivated there.")),
        ("slack", r"messages_tab_disabled|missing_scope",
         marked("Our own fault: our app in Slack may not write messages to members.")),
        ("slack", r"(invalid_auth|not_authed|token_\w+|account_inactive|not_allowed_token_type)",
         marked("Our own fault: Slack does not accept our token.")),
        ("slack", r"429\b.*", marked("Slack asks us to wait. It is tried again.")),
        ("slack", r"(5\d\d|408)\b.*|internal_error|fatal_error|service_unavailable|request_timeout",
         marked("Slack has trouble of its own. It is tried again.")),
        ("slack", r"[a-z_]+", marked("Slack does not take the message.")),
        ("teams", r"(404|410)\b.*", marked("Their webhook in Microsoft Teams is gone: a new one has to be entered.")),
        ("teams", r"(401|403)\b.*|.*WorkflowTriggerIsNotEnabled.*",
         marked("Their webhook in Microsoft Teams is switched off, or its address was renewed.")),
        ("teams", r"429\b.*", marked("Microsoft Teams asks us to wait. It is tried again.")),
        ("teams", r"(5\d\d|408)\b.*", marked("Microsoft Teams has trouble of its own. It is tried again.")),
        ("teams", r"[34]\d\d\b.*|endpoint: .*|the endpoint cannot.*",
         marked("Microsoft Teams does not take the message.")),
        ("", r"no answer (within|in time).*|TimeoutError.*", marked("The provider did not answer in time.")),
        ("", r"\w*(Connect|Disconnect|OSError|gaierror|DNS)\w*.*",
         marked("The provider could not be reached. It is tried again.")),
    )
)  # fmt: skip
_GAVE_UP: Final = re.compile(r"gave up after (?P<tries>\d+) tries: (?P<rest>.*)", re.DOTALL)


def explain(reason: str | None, channel: str, language: Language) -> str | None:
    """Why a message on `channel` did not get through, in plain words; None when the reason is not known here."""
    if not reason:
        return None
    gave_up = _GAVE_UP.fullmatch(reason)
    if gave_up:
        sentence = str(TRANSLATIONS[language].gettext(marked("Given up after %(tries)s tries.")))
        return sentence % {"tries": gave_up["tries"]} + " " + (explain(gave_up["rest"], channel, language) or "")
    for of_channel, pattern, message in _CAUSES:
        if of_channel in ("", channel) and pattern.fullmatch(reason):
            return str(TRANSLATIONS[language].gettext(message))
    return None
