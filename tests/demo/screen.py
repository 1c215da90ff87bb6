"""The terminal: the whole show on one screen, or line by line where nobody can watch a screen."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tests.demo import drill, town
from tests.demo.progress import CHANNELS, Progress
from tests.demo.words import Speaker

_FRAME_SECONDS: Final = 0.15
_LINE_SECONDS: Final = 2.0
_STATES: Final = ("pending", "sending", "sent", "delivered", "failed", "held")
_CHOICE_STYLES: Final = {"safe": "green", "away": "yellow", "hurt": "red"}
_GROUPS: Final = tuple(group for group in town.GROUPS if group.weight)
_FIXED_ROWS: Final = 15 + len(_GROUPS) // 2


class Screen:
    """Shows a `Progress`. Its numbers are alertd's own summary, but for what `arrived`, which the demo has counted."""

    def __init__(self, console: Console, progress: Progress, say: Speaker) -> None:
        self._console = console
        self._progress = progress
        self._say = say

    async def show(self) -> None:
        """Show how it goes, until cancelled."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            await self._show_lines()
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(self.render(), refresh=True)
                await asyncio.sleep(_FRAME_SECONDS)

    async def _show_lines(self) -> None:
        before = ""
        while True:
            line = self._line()
            if line != before:
                self._console.print(Text(f"{self._progress.elapsed:5.1f} s  {line}"), soft_wrap=True)
            before = line
            await asyncio.sleep(_LINE_SECONDS)

    def _line(self) -> str:
        arrived = [f"{self._say(channel)} {self._progress.reached(channel)}" for channel in CHANNELS]
        answers = self._progress.summary.get("answers", {})
        choices = [f"{label} {answers.get(name, 0)}" for name, label in drill.CHOICES.items()]
        return f"{self._say('arrived')}: {', '.join(arrived)} | {self._answered()} ({', '.join(choices)})"

    def _answered(self) -> str:
        summary = self._progress.summary
        return f"{self._say('answered')} {summary.get('acknowledged', 0)}/{summary.get('recipients', 0)}"

    def render(self) -> RenderableType:
        """Everything, within the terminal's height."""
        spare = max(0, self._console.height - _FIXED_ROWS)
        people = max(1, min(spare // 2, len(self._progress.unreachable)))
        latest = spare - people
        return Group(
            self._heading(),
            self.channels(),
            _one_line(Text(self._say("legend"), style="dim")),
            Rule(style="dim"),
            self._answers(),
            _one_line(self.ways()),
            Rule(style="dim"),
            self._departments(),
            self._unreachable(people),
            *(self._latest(latest) if latest > 1 else ()),
        )

    def result(self) -> RenderableType:
        """What is to stay on the terminal when it is over."""
        lines = unreachable_lines(self._progress.unreachable)
        return Group(
            self.channels(),
            Text(self._say("legend"), style="dim"),
            self._answers(),
            self.ways(),
            Text(f"{self._say('unreachable')}: {len(lines)}"),
            *map(Text, lines),
        )

    def _heading(self) -> RenderableType:
        row = Table.grid(expand=True)
        row.add_column(no_wrap=True, overflow="ellipsis")
        row.add_column(justify="right", no_wrap=True)
        what = Text.assemble((f" {self._say('drill')} ", "bold black on yellow"), f" {town.NAME}: {drill.TITLE}")
        row.add_row(what, Text(f"{self._progress.elapsed:.1f} s", style="bold"))
        return row

    def channels(self) -> Table:
        """Each channel: alertd's counts by state, and what has arrived, of what should, first and last."""
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
        table.add_column(self._say("channel"), no_wrap=True)
        for state in _STATES:
            table.add_column(self._say(state), justify="right", no_wrap=True)
        for name in ("arrived", "first", "last"):
            table.add_column(self._say(name), justify="right", no_wrap=True)
        for channel in CHANNELS:
            table.add_row(self._say(channel), *self._states(channel), *self._arrivals(channel))
        return table

    def _states(self, channel: str) -> list[str]:
        counts: Mapping[str, int] = self._progress.summary.get("channels", {}).get(channel, {})
        return [str(counts[state]) if state in counts else "-" for state in _STATES]

    def _arrivals(self, channel: str) -> list[Text]:
        times = self._progress.first_and_last(channel)
        shown = [f"{seconds:.2f} s" for seconds in times] if times else ["", ""]
        done = self._progress.arrived(channel) == self._progress.expected[channel].total()
        return [Text(self._progress.reached(channel), style="bold green" if done else "bold"), *map(Text, shown)]

    def _answers(self) -> RenderableType:
        summary = self._progress.summary
        total, given = summary.get("recipients", 0), summary.get("answers", {})
        table = Table.grid(padding=(0, 1, 0, 0), expand=True)
        table.add_column(no_wrap=True, min_width=22)
        table.add_column(justify="right", no_wrap=True, min_width=9)
        table.add_column(ratio=1)
        acknowledged = summary.get("acknowledged", 0)
        label = Text(self._say("answered"), style="bold")
        table.add_row(label, f"{acknowledged} / {total}", _bar(acknowledged, total, "cyan"))
        for name, label_of_choice in drill.CHOICES.items():
            bar = _bar(given.get(name, 0), total, _CHOICE_STYLES[name])
            table.add_row(f"  {label_of_choice}", str(given.get(name, 0)), bar)
        return table

    def ways(self) -> Text:
        """How the answers came."""
        counts = Counter(answer.way.value for answer in self._progress.answers.values())
        ways = " · ".join(f"{self._say(f'way {way}')} {count}" for way, count in counts.most_common())
        return Text(f"{self._say('by way')}: {ways or self._say('nobody yet')}")

    def _departments(self) -> RenderableType:
        counts = {group["id"]: group for group in self._progress.summary.get("groups", [])}
        table = Table.grid(padding=(0, 1, 0, 0), expand=True)
        for _ in range(2):
            table.add_column(no_wrap=True, min_width=10)
            table.add_column(justify="right", no_wrap=True, min_width=7)
            table.add_column(ratio=1)
        half = len(_GROUPS) // 2
        for pair in zip(_GROUPS[:half], _GROUPS[half:], strict=True):
            cells: list[RenderableType] = []
            for group in pair:
                count = counts.get(group.id, {"acknowledged": 0, "recipients": 0})
                done, total = count["acknowledged"], count["recipients"]
                cells += [group.name, f"{done}/{total}", _bar(done, total, "cyan")]
            table.add_row(*cells)
        return table

    def _unreachable(self, rows: int) -> RenderableType:
        count = self._progress.summary.get("unreachable", 0)
        heading = f"{self._say('unreachable')}: {count}"
        lines = unreachable_lines(self._progress.unreachable)[:rows]
        return Group(*(_one_line(Text(line)) for line in (heading, *lines)))

    def _latest(self, rows: int) -> Sequence[RenderableType]:
        answers = list(self._progress.answers.values())[-(rows - 1) :]
        lines = [
            f"  {answer.at - self._progress.posted_at:5.1f} s  {answer.person.name}: "
            f"{drill.CHOICES.get(answer.choice or '', '')} ({self._say(f'way {answer.way.value}')})"
            for answer in reversed(answers)
        ]
        return [_one_line(Text(line)) for line in (f"{self._say('latest')}:", *lines)]


def unreachable_lines(people: Sequence[Mapping[str, Any]]) -> list[str]:
    """Who cannot be reached, and why, as alertd says."""
    names = {group.id: group.name for group in town.GROUPS}
    return [
        f"  {person['name']} ({names[person['groups'][0]]}): {cause}"
        for person, cause in ((row["person"], row["cause"]) for row in people)
    ]


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _bar(completed: int, total: int, style: str) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=completed, complete_style=style, finished_style=style)
