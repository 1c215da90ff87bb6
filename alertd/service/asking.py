"""Telling managers that something of a source's waits for them."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from alertd.core.observation import clean
from alertd.service import notices
from alertd.service.runtime import Runtime
from alertd.store import sources

_FAULT_MAX: Final = 500
_TITLE_TOLD: Final = 100
_TOLD_EVERY: Final = timedelta(minutes=10)


def tell_waiting(connection: Connection, rt: Runtime, observation_id: int, now: datetime) -> set[str]:
    """Alert the managers that something waits for them, unless they were told of another a moment ago; the channels
    that have work then.
    """
    kept = sources.get_observation(connection, observation_id)
    assert kept is not None
    goes_at = kept["due_at"] if kept["state"] == "due" else None
    waits = kept["state"] == "waiting" or (goes_at is not None and goes_at > now)
    if not waits or sources.is_told(connection, now - _TOLD_EVERY):
        return set()
    sources.change_observation(connection, observation_id, {"told_at": now})
    draft = kept["draft"]
    drill = ("訓練の", " (drill)") if draft["drill"] else ("", "")
    said = clean(draft["title"], _TITLE_TOLD)
    title = f"【システム】{drill[0]}確認待ち：{said} / [SYSTEM] Waits for you{drill[1]}"
    clock = f"{goes_at.astimezone(rt.zone):%H:%M:%S}" if goes_at is not None and goes_at > now else None
    body = (
        f"情報源「{kept['source_id']}」から届きました。"
        + (f"{clock}に自動で送信します。" if clock else "送信はまだです。")
        + f"送信するか、しないかを決めてください: {rt.public_url}/sources\n"
        + f"It came from the source {kept['source_id']}. "
        + (f"It goes out by itself at {clock}. " if clock else "It is not sent yet. ")
        + f"Send it or stop it: {rt.public_url}/sources"
    )
    return notices.tell_managers(connection, rt, title, body, now)


def tell_unproved(rt: Runtime, source_id: str, fault: str) -> None:
    """Alert the managers that a message was refused for its signature, unless they were told of another a moment ago:
    it may have been true. Nothing of what it says is repeated, for nobody has proved it.
    """
    now = rt.now()
    title = (
        "【システム】署名が正しくない電文を拒否しました / [SYSTEM] A message was refused: its signature does not hold"
    )
    body = (
        f"情報源「{source_id}」から届きました。改ざんされたか、登録のない証明書で署名されています。"
        f"発信元に直接確かめてください: {rt.public_url}/sources\n"
        f"It came from the source {source_id}. It was altered, or signed with a certificate that is not known here. "
        f"Ask its sender: {rt.public_url}/sources\n{clean(fault, _FAULT_MAX)}"
    )
    with rt.store.write() as connection:
        is_first = sources.claim_unproved(connection, source_id, now, now - _TOLD_EVERY)
        channels = notices.tell_managers(connection, rt, title, body, now) if is_first else set()
    ring(rt, channels)


def ring(rt: Runtime, channels: set[str]) -> None:
    """Wake whoever carries what these channels have, after the commit."""
    if channels:
        rt.bell.events()
        rt.bell.work(channels)
