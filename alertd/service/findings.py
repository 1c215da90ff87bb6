"""What the doctor says, in both languages: what would not work, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from alertd.core.alert import Bilingual, Language

Level = Literal["fault", "warning", "ok"]
LEVELS: Final[tuple[Level, ...]] = ("fault", "warning", "ok")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `word` is the sentence, `values` what is filled in."""

    check: str
    level: Level
    word: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def message(self, language: Language) -> str:
        values = {
            name: value.in_language(language) if isinstance(value, Bilingual) else value
            for name, value in self.values.items()
        }
        return WORDS[self.word][language].format_map(values)

    def as_json(self, language: Language) -> dict[str, str]:
        return {"check": self.check, "level": self.level, "message": self.message(language)}


def worst_first(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


WORDS: Final[dict[str, dict[Language, str]]] = {
    "unanswered": {
        "en": "no answer in time: this could not be checked",
        "ja": "時間内に応答がなく、確認できませんでした。",
    },
    "broke": {
        "en": "the check itself failed: {problem}",
        "ja": "点検そのものに失敗しました: {problem}",
    },
    "store_ok": {
        "en": "the database can be written",
        "ja": "データベースに書き込めます。",
    },
    "store_away": {
        "en": "the database cannot be used, so nothing can be posted or sent: {problem}; "
        "check ALERTD_DATABASE_URL, and that the server runs and its disk has room",
        "ja": "データベースを使えないため、投稿も送信もできません: {problem} "
        "ALERTD_DATABASE_URL、サーバーの稼働、ディスクの空きを確認してください。",
    },
    "store_missing": {
        "en": "there is no database yet: start `alertd serve`, or run `alertd migrate`",
        "ja": "データベースがまだありません。`alertd serve` で起動するか、`alertd migrate` を実行してください。",
    },
    "cannot_tell": {
        "en": "cannot be told until the database is in order",
        "ja": "データベースが使えるようになるまで確認できません。",
    },
    "migration_ok": {
        "en": "the database is at this version",
        "ja": "データベースはこの版に対応しています。",
    },
    "migration_missing": {
        "en": "a migration is missing: nothing works until `alertd migrate` has run",
        "ja": "データベースの更新が済んでいません。`alertd migrate` を実行するまで動きません。",
    },
    "migration_newer": {
        "en": "the database was written by a newer alertd: install that version, or restore the backup made before it",
        "ja": "データベースはより新しい版のものです。その版を入れるか、更新前のバックアップに戻してください。",
    },
    "redis_ok": {
        "en": "Redis answers",
        "ja": "Redisは応答しています。",
    },
    "redis_away": {
        "en": "Redis does not answer, so everything comes some seconds late: {problem}; "
        "check ALERTD_REDIS_URL, or that alertd serve runs",
        "ja": "Redisが応答しないため、すべてが数秒遅れます: {problem} "
        "ALERTD_REDIS_URL、または alertd serve の稼働を確認してください。",
    },
    "role_ok": {
        "en": "{count} running",
        "ja": "{count}個が稼働しています。",
    },
    "worker_away": {
        "en": "no worker is running: nothing is sent over {channel}; start `alertd worker` or `alertd serve`",
        "ja": "ワーカーが稼働していないため、{channel}では何も送られません。"
        "`alertd worker` か `alertd serve` を起動してください。",
    },
    "clock_away": {
        "en": "no clock is running: nothing is retried, escalated or expired; start `alertd clock` or `alertd serve`",
        "ja": "クロックが稼働していないため、再送・次の段階・期限切れの処理が行われません。"
        "`alertd clock` か `alertd serve` を起動してください。",
    },
    "poller_away": {
        "en": "no poller is running: no source is asked, no webhook told; start `alertd poller` or `alertd serve`",
        "ja": "ポーラーが稼働していないため、情報源を取りに行けず、Webhookでも知らせられません。"
        "`alertd poller` か `alertd serve` を起動してください。",
    },
    "web_away": {
        "en": "no web process is running: nobody can post or answer; start `alertd web` or `alertd serve`",
        "ja": "Webが稼働していないため、投稿も回答もできません。`alertd web` か `alertd serve` を起動してください。",
    },
    "incoming_away": {
        "en": "nobody takes mail in: undeliverable mail goes unnoticed, and mail of sources waits; "
        "start `alertd incoming` or `alertd serve`",
        "ja": "メールの受け口が稼働していないため、届かなかったメールに気付けず、情報源のメールも受け取れません。"
        "`alertd incoming` か `alertd serve` を起動してください。",
    },
    "prepared": {
        "en": "every alert is laid down for everybody it is for",
        "ja": "すべてのアラートについて、全員分の送信が準備できています。",
    },
    "unprepared": {
        "en": "“{title}” is not laid down for everybody after {seconds} s, so some get nothing yet; "
        "that is the clock's work: see its log",
        "ja": "「{title}」は{seconds}秒たっても全員分の送信が準備できておらず、まだ届かない人がいます。"
        "準備はclockの仕事です。ログを確認してください。",
    },
    "held_none": {
        "en": "nothing is held back",
        "ja": "保留中の送信はありません。",
    },
    "held": {
        "en": "{count} messages are held until this is mended, then start alertd again: {reason}",
        "ja": "{count}通が保留されています。次を直してから再起動してください: {reason}",
    },
    "circuits_none": {
        "en": "no provider is being avoided",
        "ja": "避けている送信先はありません。",
    },
    "circuit": {
        "en": "{provider} {lane} is not being used for now ({state}): {reason}",
        "ja": "{provider} {lane} への送信を見合わせています（{state}）: {reason}",
    },
    "circuit_stuck": {
        "en": "{provider} {lane} has not been usable for {seconds} s ({state}) and messages wait for it: {reason}",
        "ja": "{provider} {lane} が{seconds}秒間使えず（{state}）、送信が待たされています: {reason}",
    },
    "channel_ok": {
        "en": "the provider takes our credentials",
        "ja": "事業者に接続でき、認証も通ります。",
    },
    "channel_fault": {
        "en": "{problem}",
        "ja": "{problem}",
    },
    "channel_unset": {
        "en": "not set up, and nobody has an address for it: {lack}",
        "ja": "設定されていません。この経路の宛先を持つ人はいません: {lack}",
    },
    "channel_needed": {
        "en": "not set up, so what goes to {count} people over it is held: {lack}",
        "ja": "設定されていないため、{count}人への送信が保留されます: {lack}",
    },
    "vapid_ok": {
        "en": "the key pair is valid",
        "ja": "鍵は正しい形式です。",
    },
    "vapid_fault": {
        "en": "the VAPID key cannot be used, so no push is sent: {problem}",
        "ja": "VAPID鍵を使えないため、プッシュ通知を送れません: {problem}",
    },
    "url_ok": {
        "en": "{url} answers as ours",
        "ja": "{url} はこのシステムとして応答しています。",
    },
    "url_unset": {
        "en": "nobody knows what links should lead to: set ALERTD_PUBLIC_URL",
        "ja": "リンク先が決まっていません。ALERTD_PUBLIC_URL を設定してください。",
    },
    "url_away": {
        "en": "{url} does not answer as ours, so no link in a message works: {problem}; "
        "check ALERTD_PUBLIC_URL, the proxy and its certificate",
        "ja": "{url} がこのシステムとして応答しないため、通知のリンクが開きません: {problem} "
        "ALERTD_PUBLIC_URL、プロキシ、証明書を確認してください。",
    },
    "url_local": {
        "en": "{url} is this machine alone: phones cannot follow the links, and Apple takes no push;"
        " set ALERTD_PUBLIC_URL",
        "ja": "{url} はこの機械の中だけのアドレスで、携帯からは開けず、iPhoneにはプッシュ通知も届きません。"
        "ALERTD_PUBLIC_URL を設定してください。",
    },
    "url_plain": {
        "en": "{url} is not https: browsers allow no push, and anybody on the way reads the links",
        "ja": "{url} はhttpsではないため、プッシュ通知を使えず、途中で内容を読まれるおそれがあります。",
    },
    "time_ok": {
        "en": "the clocks agree",
        "ja": "時計は一致しています。",
    },
    "time_off": {
        "en": "the clock of {whose} is {seconds} seconds away from this one: let both follow NTP",
        "ja": "{whose}の時計がこの機械と{seconds}秒ずれています。両方をNTPで合わせてください。",
    },
    "disk_ok": {
        "en": "{free} MiB are free",
        "ja": "空きは{free} MiBです。",
    },
    "disk_low": {
        "en": "only {free} MiB are free: free some space before new posts are refused",
        "ja": "空きが{free} MiBしかありません。新しい投稿を断る前に空きを作ってください。",
    },
    "data_dir_low": {
        "en": "only {free} MiB are free on the disk of {path}: free some space, or Redis and logs stop there",
        "ja": "{path} のディスクの空きが{free} MiBしかありません。Redisやログが止まる前に空きを作ってください。",
    },
    "disk_full": {
        "en": "the disk is full ({free} MiB free): new posts are refused until {wanted} MiB are free",
        "ja": "ディスクが一杯です（空き{free} MiB）。{wanted} MiB空くまで新しい投稿を断ります。",
    },
    "due_none": {
        "en": "nothing is waiting that could go out",
        "ja": "送信待ちの滞りはありません。",
    },
    "due_late": {
        "en": "a message over {channel} has been waiting for {seconds} seconds: look at its worker and its provider",
        "ja": "{channel}の送信が{seconds}秒滞っています。ワーカーと事業者を確認してください。",
    },
    "self_test_ok": {
        "en": "the last self-test was accepted by the providers ({day})",
        "ja": "直近の自動テストは事業者に受け付けられました（{day}）。",
    },
    "self_test_unproven": {
        "en": "the last self-test proves nothing ({day}): it went to nobody, for there was nobody, "
        "or it was their quiet hours; move ALERTD_SELF_TEST, or let somebody else opt in",
        "ja": "直近の自動テストは何も確かめていません（{day}）。受け取る人がいないか、全員が通知を控える時間帯でした。"
        "ALERTD_SELF_TEST の時刻を変えるか、ほかの人にも受け取ってもらってください。",
    },
    "self_test_failed": {
        "en": "the last self-test did not get through ({day}): {problem}",
        "ja": "直近の自動テストは一部または全部が通りませんでした（{day}）: {problem}",
    },
    "self_test_stale": {
        "en": "there is no result of a self-test since yesterday: one runs every day at {at}",
        "ja": "昨日以降の自動テストの結果がありません。毎日{at}に行われます。",
    },
    "self_test_off": {
        "en": "the self-test is off (ALERTD_SELF_TEST): nobody notices when messages no longer go out",
        "ja": "自動テストが無効です（ALERTD_SELF_TEST）。届かなくなっても気付けません。",
    },
    "self_test_nobody": {
        "en": "nobody takes the daily self-test: let somebody opt in, or nobody notices when messages do not go out",
        "ja": "自動テストを受ける人がいません。届かなくなったときに気付けるよう、受け取る人を決めてください。",
    },
    "sources_heard": {
        "en": "{count} sources, and none is silent",
        "ja": "情報源{count}件に途絶えているものはありません。",
    },
    "source_silent": {
        "en": "the source {source} is silent: what it has to say does not arrive; see the page of sources",
        "ja": "情報源「{source}」が途絶えており、その情報は届いていません。情報源のページを確認してください。",
    },
    "webhooks_told": {
        "en": "{count} webhooks, and all take what they are told",
        "ja": "Webhook{count}件はすべて受け取られています。",
    },
    "webhook_fails": {
        "en": "the webhook {webhook} does not take what it is told; see the page of webhooks",
        "ja": "Webhook「{webhook}」への知らせが受け取られていません。Webhookのページを確認してください。",
    },
    "sms_ok": {
        "en": "{used} parts today",
        "ja": "本日{used}通分を送信しました。",
    },
    "sms_ceiling": {
        "en": "{used} of {ceiling} parts a day are used up ({percent} %): "
        "real alerts go on, drills and tests stop at the ceiling",
        "ja": "1日{ceiling}通分のうち{used}通分を使いました（{percent} %）。"
        "上限で訓練とテストは止まり、本番は送られます。",
    },
}
