"""Push service, Twilio, SMTP relay, Slack and Teams on the loopback: they check what the real ones check."""

from tests.providers.push import BrowserSubscription, PushMessage, PushService
from tests.providers.slack import SlackServer
from tests.providers.smtp import Letter, SmtpServer
from tests.providers.teams import TeamsServer
from tests.providers.twilio import SmsMessage, TwilioServer

__all__ = [
    "BrowserSubscription",
    "Letter",
    "PushMessage",
    "PushService",
    "SlackServer",
    "SmsMessage",
    "SmtpServer",
    "TeamsServer",
    "TwilioServer",
]
