"""Every channel there is. A new one is one file and one line here."""

from collections.abc import Mapping
from typing import Final

from channels.base import Channel, ChannelType, Context, SettingFaults
from channels.email import Email
from channels.sms import Sms
from channels.webpush import WebPush

CHANNELS: Final[tuple[type[ChannelType], ...]] = (WebPush, Sms, Email)
KINDS: Final[tuple[str, ...]] = tuple(channel.kind for channel in CHANNELS)


def configure(values: Mapping[str, str], context: Context) -> dict[str, Channel]:
    """Every channel by its kind, for settings named without their prefix.

    Raises one SettingFaults with what is wrong in all of them.
    """
    channels: dict[str, Channel] = {}
    faults: list[tuple[str, str]] = []
    for channel in CHANNELS:
        try:
            channels[channel.kind] = channel.configure(values, context)
        except SettingFaults as error:
            faults.extend(error.faults)
    if faults:
        raise SettingFaults(faults)
    return channels
