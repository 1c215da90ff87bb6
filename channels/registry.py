"""Every channel there is. A new one is one file and one line here."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from channels.base import Channel, ChannelType, Context, Setting, SettingFaults, Unconfigured
from channels.email import Email
from channels.slack import Slack
from channels.sms import Sms
from channels.teams import Teams
from channels.webpush import WebPush

SECOND: Final = "SECOND_"
CHANNELS: Final[tuple[type[ChannelType], ...]] = (WebPush, Sms, Email, Slack, Teams)
KINDS: Final[tuple[str, ...]] = tuple(channel.kind for channel in CHANNELS)
EXTRAS: Final[tuple[str, ...]] = tuple(channel.kind for channel in CHANNELS if channel.is_extra)
ON_RECORD: Final = {channel.kind: channel.fields[0] for channel in CHANNELS if channel.on_record}
"""By channel: the one field of its address, which stands with the person."""


def configure(values: Mapping[str, str], context: Context, used: Collection[str] = ()) -> dict[str, Channel]:
    """Every channel that there is here, by its kind, for settings named without their prefix.

    An extra one that is not set up is there only when it is `used` all the same: then what it lacks is told, and its
    messages are held. Raises one SettingFaults with what is wrong in all of them.
    """
    channels: dict[str, Channel] = {}
    faults: list[tuple[str, str]] = []
    for channel in CHANNELS:
        try:
            made = channel.configure(values, context)
        except SettingFaults as error:
            faults.extend(error.faults)
            continue
        if not (channel.is_extra and isinstance(made, Unconfigured)) or channel.kind in used:
            channels[channel.kind] = made
    if faults:
        raise SettingFaults(faults)
    return channels


def configure_second(values: Mapping[str, str], context: Context) -> dict[str, Channel]:
    """The channels, by their kind, that a second provider stands ready for.

    It is set up by the same settings with SECOND_ in front, and shares those that say how the channel speaks. Raises
    one SettingFaults with what is wrong in all of them, under the names that were set.
    """
    channels: dict[str, Channel] = {}
    faults: list[tuple[str, str]] = []
    for channel in CHANNELS:
        own = [setting.name for setting in second_settings(channel) if values.get(setting.name)]
        if not own:
            continue
        shared = {each.name: values[each.name] for each in channel.settings if each.shared and values.get(each.name)}
        try:
            second = channel.configure({name.removeprefix(SECOND): values[name] for name in own} | shared, context)
        except SettingFaults as error:
            faults.extend(_second_faults(channel, error))
            continue
        if isinstance(second, Unconfigured):
            faults.append((own[0], f"says nothing alone: {second.missing.replace('ALERTD_', f'ALERTD_{SECOND}')}"))
        elif lack := _lack_of_first(channel, values, context):
            faults.append((own[0], f"there is no first provider that it could stand in for: {lack}"))
        else:
            channels[channel.kind] = second
    if faults:
        raise SettingFaults(faults)
    return channels


def second_settings(channel: type[ChannelType]) -> tuple[Setting, ...]:
    """What a channel's second provider is set up by; nothing when there cannot be one."""
    if not channel.has_second:
        return ()
    return tuple(replace(each, name=f"{SECOND}{each.name}") for each in channel.settings if not each.shared)


def all_settings() -> tuple[Setting, ...]:
    """Every setting of every channel, those of second providers included."""
    return tuple(each for channel in CHANNELS for each in (*channel.settings, *second_settings(channel)))


def _lack_of_first(channel: type[ChannelType], values: Mapping[str, str], context: Context) -> str | None:
    try:
        first = channel.configure(values, context)
    except SettingFaults:
        return None  # it is set up, if wrongly, which `configure` tells
    return first.missing if isinstance(first, Unconfigured) else None


def _second_faults(channel: type[ChannelType], error: SettingFaults) -> list[tuple[str, str]]:
    own = {setting.name for setting in channel.settings if not setting.shared}
    return [(f"{SECOND}{name}" if name in own else name, message) for name, message in error.faults]
