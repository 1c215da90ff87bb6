"""Push service, Twilio and SMTP relay on the loopback: they check what the real ones check."""

from tests.providers.push import BrowserSubscription, PushMessage, PushService
from tests.providers.smtp import Letter, SmtpServer
from tests.providers.twilio import SmsMessage, TwilioServer

__all__ = ["BrowserSubscription", "Letter", "PushMessage", "PushService", "SmsMessage", "SmtpServer", "TwilioServer"]
