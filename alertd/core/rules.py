"""Rules: what becomes of an observation, and why. Nothing goes live without one that somebody made.

A decision names its reason, whichever way it went, so that it can be read afterwards why something was or was not sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal

from alertd.core.alert import SEVERITIES, Bilingual, Severity
from alertd.core.audience import Audience
from alertd.core.drill_words import may_mean_drill
from alertd.core.observation import SCALES, Observation, Scale, clean_body, rank_of, worst

Outcome = Literal["ignore", "board", "draft", "alert"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("ignore", "board", "draft", "alert")
Drills = Literal["ignore", "drill"]

STOP_MAX: Final = 3_600  # seconds
CAP_MAX: Final = 1_000
DEFAULT_CAP: Final = 6
_MUNICIPALITY: Final = 5  # digits
_WITHIN: Final = (2, _MUNICIPALITY)
CAP_TIME: Final = timedelta(hours=1)
_AHEAD_MOST: Final = timedelta(hours=1)  # that a sender's clock may be before ours


class Action(StrEnum):
    """What is done with one observation."""

    IGNORE = "ignore"
    """Kept, and nothing else."""
    BOARD = "board"
    """Put on the board, where nobody is alerted."""
    DRAFT = "draft"
    """Written for a person, whose yes sends it."""
    ALERT = "alert"
    """Sent to people as an alert."""
    UPDATE = "update"
    """Said to those who have the incident's alert."""
    STAND_DOWN = "stand-down"
    """Said to those who have the incident's alert: it is over."""


class Reason(StrEnum):
    """Why; `REASON_WORDS` has the sentences."""

    RULE = "rule"
    SIGNED = "signed"
    NO_RULE = "no-rule"
    UNSIGNED = "unsigned"
    OWN = "own"
    ELSEWHERE = "elsewhere"
    TEST = "test"
    DRILL_IGNORED = "drill-ignored"
    REPEATED = "repeated"
    OLDER = "older"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    WORSE = "worse"
    NEW_AREA = "new-area"
    BETTER = "better"
    JOINED = "joined"
    LIKELY = "likely-same"
    SAME = "said-already"
    STILL_HOLDS = "still-holds"
    WITHDRAWN = "withdrawn"
    AREAS_OVER = "areas-over"
    NEVER_TOLD = "never-told"
    CLOSED = "closed"
    TOO_MANY = "too-many"
    MAY_BE_DRILL = "may-be-drill"
    OTHER_AUTHOR = "other-author"


REASON_WORDS: Final[Mapping[Reason, Bilingual]] = {
    Reason.RULE: Bilingual("a rule says so", "規則のとおり"),
    Reason.SIGNED: Bilingual(
        "a rule that asks for a signature says so, and it is signed", "署名を求める規則のとおり。署名を確認済み"
    ),
    Reason.NO_RULE: Bilingual("no rule is for it", "当てはまる規則がない"),
    Reason.UNSIGNED: Bilingual(
        "the rule for it asks for a signature, and it has none", "当てはまる規則は署名を求めているが、署名がない"
    ),
    Reason.OWN: Bilingual("it is an alert of ours that has come back", "こちらが発信した警報が戻ってきたもの"),
    Reason.ELSEWHERE: Bilingual("the alert by another rule goes on about it", "別の規則による警報の続報として扱う"),
    Reason.TEST: Bilingual("its sender says that it is a test of the line", "発信元が「試験」としている"),
    Reason.DRILL_IGNORED: Bilingual("its sender says that it is a drill", "発信元が「訓練」としている"),
    Reason.REPEATED: Bilingual("it came before", "すでに受け取ったもの"),
    Reason.OLDER: Bilingual("a later version came before it", "より新しい版を受け取った後のもの"),
    Reason.UNCHANGED: Bilingual("nothing that people were told has changed", "伝えた内容に変わりがない"),
    Reason.CHANGED: Bilingual("it says something else by now", "内容が変わった"),
    Reason.WORSE: Bilingual("it got worse", "より重くなった"),
    Reason.NEW_AREA: Bilingual("it has reached another area", "対象の地域が増えた"),
    Reason.BETTER: Bilingual("it got better", "軽くなった"),
    Reason.JOINED: Bilingual(
        "it is about the same as another source's alert, and goes on there",
        "別の情報源の警報と同じ事象。その続報とした",
    ),
    Reason.LIKELY: Bilingual(
        "it seems to be about the same as another source's alert: it goes on there, and asks again",
        "別の情報源の警報と同じ事象とみられる。その続報とし、あらためて確認を求めた",
    ),
    Reason.SAME: Bilingual("another source says as much", "別の情報源が同じか、より重い内容を伝えている"),
    Reason.STILL_HOLDS: Bilingual(
        "it is over for this source, and another one says that it goes on",
        "この情報源では終わったが、別の情報源では続いている",
    ),
    Reason.WITHDRAWN: Bilingual("its sender withdrew it", "発信元が取り消した、または解除した"),
    Reason.AREAS_OVER: Bilingual("it is over in the areas of the rule", "規則の地域では解除された"),
    Reason.NEVER_TOLD: Bilingual(
        "it is over, and nobody was told that it had begun", "解除されたが、誰にも伝えていなかった"
    ),
    Reason.CLOSED: Bilingual("its alert was over already", "すでに終わった通知についてのもの"),
    Reason.MAY_BE_DRILL: Bilingual(
        "it says that it is real, and its title has a word for a drill in it: a person must say",
        "実際のものとされているが、標題に訓練を思わせる語がある。人の確認が必要",
    ),
    Reason.OTHER_AUTHOR: Bilingual(
        "it changes what people were told, and its author is none of those whom the rule names: a person must say yes",
        "伝えた内容を変えるものだが、書いた人が規則に挙げた人ではない。人の確認が必要",
    ),
    Reason.TOO_MANY: Bilingual(
        "the rule has sent as many alerts as it may in an hour: a person must say yes",
        "この規則の1時間の上限に達した。人の確認が必要",
    ),
}


UNHEARD: Final = (Reason.REPEATED, Reason.OLDER, Reason.TEST, Reason.OWN)  # whatever it says, nothing follows
_ASKS: Final = (Reason.TOO_MANY, Reason.MAY_BE_DRILL)  # an alert but for these, for which a person must say yes


@dataclass(frozen=True, slots=True)
class When:
    """Which observations a rule is for: all that is said must be true. Empty: whatever it is."""

    types: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()  # of the title
    areas: tuple[str, ...] = ()  # codes, each for itself and for what lies in it: see `lies_in`
    severity_at_least: Severity | None = None
    at_least: Mapping[Scale, str] = field(default_factory=dict)  # by scale, the lowest degree
    signed: bool = False  # only what carries a signature that was verified


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a source's observations. The first rule that matches decides."""

    name: str
    source: str
    do: Outcome
    when: When = field(default_factory=When)
    severity: Severity | None = None  # None: as the source says
    audience: Audience | None = None
    plan: str | None = None  # None: the template's, else the default
    template: str | None = None  # whose words are used instead of the source's
    fill: Mapping[str, str] = field(default_factory=dict)  # by the template's fields, what takes their place
    board: str = "general"
    drills: Drills = "ignore"
    stop_seconds: int = 0  # how long somebody can stop an alert before it goes
    most_per_hour: int = DEFAULT_CAP  # alerts; whatever comes beyond them waits for a person


@dataclass(frozen=True, slots=True)
class Thread:
    """What is known of an incident on one side, real or drill, before this observation.

    `others`: what other sources say of the same, where they were joined. `held`: one of them must say that it is over,
    or better, before people hear so.
    """

    seen: frozenset[tuple[str, int]] = frozenset()  # observations by id and version
    version: int | None = None  # the latest
    rule: str | None = None  # which last made something of it
    told: Action | None = None  # how people know of it: BOARD, DRAFT or ALERT; None: they do not, or it is over
    observation: Observation | None = None  # as it was last told, narrowed to the rule's areas; None: it has ended
    others: tuple[Observation, ...] = ()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    reason: Reason
    rule: Rule | None = None
    observation: Observation | None = None  # narrowed to what the rule is for

    @property
    def waits(self) -> bool:
        """Whether nothing is said of it before a person says yes."""
        return self.action is Action.DRAFT or self.reason is Reason.OTHER_AUTHOR


def followed(thread: Thread, observation: Observation, decision: Decision, now: datetime) -> Thread:
    """The thread after a decision was carried out."""
    seen = thread.seen | {(observation.id, observation.version)}
    if decision.reason in UNHEARD:
        return replace(thread, seen=seen)
    # A version is made of times, mostly: one from the future would outdate all that comes before that.
    is_ahead = observation.observed_at > now + _AHEAD_MOST
    later = replace(thread, seen=seen, version=thread.version if is_ahead else observation.version)
    if decision.reason is Reason.CLOSED:
        # Nobody hears of it, and yet it goes on: what rises again is compared with what it came down to.
        return replace(later, observation=None if observation.kind == "withdrawn" else decision.observation)
    name = decision.rule.name if decision.rule else None
    if decision.reason is Reason.STILL_HOLDS:
        return replace(later, observation=None)
    if decision.reason is Reason.SAME:
        return replace(later, rule=name or thread.rule, observation=decision.observation)
    match decision.action:
        case _ if decision.action is Action.IGNORE or decision.reason is Reason.OTHER_AUTHOR:
            return later
        case Action.STAND_DOWN:
            return replace(later, told=None, observation=None)
        case Action.UPDATE:
            return replace(later, rule=name or thread.rule, observation=decision.observation)
        case begun:
            return replace(later, told=begun, rule=name, observation=decision.observation)


def decide(
    observation: Observation,
    source: str,
    rules: Sequence[Rule],
    thread: Thread,
    alerts_in_hour: int = 0,
    *,
    is_own: bool = False,
) -> Decision:
    """What becomes of an observation from `source`. `alerts_in_hour`: how many the rule that matches has sent in the
    hour before. `is_own`: it is an alert of ours.
    """
    if is_own:
        return Decision(Action.IGNORE, Reason.OWN)
    if (observation.id, observation.version) in thread.seen:
        return Decision(Action.IGNORE, Reason.REPEATED)
    if thread.version is not None and observation.version <= thread.version:
        return Decision(Action.IGNORE, Reason.OLDER)
    if observation.standing == "test":
        return Decision(Action.IGNORE, Reason.TEST)
    if thread.observation is not None:
        return _follow(observation, source, rules, thread, alerts_in_hour)
    if observation.kind == "withdrawn":
        return Decision(
            Action.IGNORE, Reason.UNSIGNED if _lacks_signature(observation, source, rules) else Reason.NEVER_TOLD
        )
    return _begin(observation, source, rules, alerts_in_hour, Reason.RULE)


def _begin(
    observation: Observation, source: str, rules: Sequence[Rule], alerts_in_hour: int, reason: Reason
) -> Decision:
    rule = match(observation, source, rules)
    if rule is None:
        is_unsigned = _lacks_signature(observation, source, rules)
        return Decision(Action.IGNORE, Reason.UNSIGNED if is_unsigned else Reason.NO_RULE)
    if rule.when.signed and reason is Reason.RULE:
        reason = Reason.SIGNED
    found = narrow(observation, rule)
    if rule.do == "ignore":
        return Decision(Action.IGNORE, Reason.RULE, rule, found)
    if observation.standing == "drill" and rule.drills == "ignore":
        return Decision(Action.IGNORE, Reason.DRILL_IGNORED, rule, found)
    if rule.do == "alert" and observation.standing == "actual" and may_mean_drill(observation.title):
        return Decision(Action.DRAFT, Reason.MAY_BE_DRILL, rule, found)
    if rule.do == "alert" and alerts_in_hour >= rule.most_per_hour:
        return Decision(Action.DRAFT, Reason.TOO_MANY, rule, found)
    return Decision(Action(rule.do), reason, rule, found)


def _follow(
    observation: Observation, source: str, rules: Sequence[Rule], thread: Thread, alerts_in_hour: int
) -> Decision:
    """What becomes of a later version of what people know of already."""
    assert thread.observation is not None
    rule = next((rule for rule in rules if rule.source == source and rule.name == thread.rule), None)
    decision = _followed_up(observation, source, rules, thread, rule, alerts_in_hour)
    changes = decision.action in (Action.UPDATE, Action.STAND_DOWN)
    # Of what is gone a source need not know by whom; whoever says something else must be known.
    has_author = bool(observation.author) or observation.kind != "withdrawn"
    if changes and rule is not None and has_author and not _one_of(rule.when.authors, observation.author):
        return replace(decision, reason=Reason.OTHER_AUTHOR)
    return decision


def _followed_up(
    observation: Observation,
    source: str,
    rules: Sequence[Rule],
    thread: Thread,
    rule: Rule | None,
    alerts_in_hour: int,
) -> Decision:
    """`rule`: the one by which people were told."""
    assert thread.observation is not None
    closed = thread.told is None
    if observation.kind == "withdrawn":
        if closed:
            return Decision(Action.IGNORE, Reason.CLOSED, rule, observation)
        return _end(observation, rule, thread, Reason.WITHDRAWN)
    # Whoever changed the rules meanwhile has not changed whom people were told by.
    found = narrow(observation, rule) if rule is not None else observation
    if found.substance == thread.observation.substance:
        return Decision(Action.IGNORE, Reason.UNCHANGED, rule, found)
    if thread.observation.rank and not found.rank and not closed:
        return _end(found, rule, thread, Reason.AREAS_OVER)
    change = _change((thread.observation, *thread.others), found)
    if thread.told is not Action.ALERT:
        # What was not worth an alert may be worth one now; what was over has begun again.
        begun = _begin(observation, source, rules, alerts_in_hour, change)
        rises = change in (Reason.WORSE, Reason.NEW_AREA)
        again = closed and rises and begun.action is not Action.IGNORE
        more = begun.action is Action.ALERT or (begun.reason in _ASKS and (rises or thread.told is Action.BOARD))
        if again or (more and not closed):
            return begun
    if closed:
        return Decision(Action.IGNORE, Reason.CLOSED, rule, found)
    if thread.held and _adds_nothing(found, thread.others):
        return Decision(Action.IGNORE, Reason.SAME, rule, found)
    return Decision(Action.UPDATE, change, rule, found)


def widened(
    observation: Observation,
    source: str,
    rules: Sequence[Rule],
    told_by: str | None,
    decision: Decision,
    alerts_in_hour: int,
) -> Decision | None:
    """What another rule than the one `told_by` which people know of it makes of what got worse: it may be for more.

    None where there is none that alerts.
    """
    if decision.action is not Action.UPDATE or decision.reason not in (Reason.WORSE, Reason.NEW_AREA):
        return None
    begun = _begin(observation, source, rules, alerts_in_hour, decision.reason)
    is_other = begun.rule is not None and begun.rule.name != told_by
    return begun if is_other and begun.action in (Action.ALERT, Action.DRAFT) else None


def _end(observation: Observation, rule: Rule | None, thread: Thread, reason: Reason) -> Decision:
    """It is over, as far as this source knows."""
    if not thread.held:
        return Decision(Action.STAND_DOWN, reason, rule, observation)
    lasting = "\n".join(f"・{other.title}" for other in thread.others if other.title)
    body = clean_body(f"{observation.body}\n\n別の情報源では続いています / Another source still says:\n{lasting}")
    return Decision(Action.UPDATE, Reason.STILL_HOLDS, rule, replace(observation, body=body))


def _change(before: Sequence[Observation], now: Observation) -> Reason:
    """How it differs from all that is said of the same: WORSE, NEW_AREA, BETTER or CHANGED."""
    known = worst([each.severity for each in before])
    worse = known != "unknown" and SEVERITIES.index(now.severity) < SEVERITIES.index(known)
    return area_change(before, now) or (Reason.WORSE if worse else Reason.CHANGED)


def area_change(before: Sequence[Observation], now: Observation) -> Reason | None:
    """How it differs in where it is and how bad there: WORSE, NEW_AREA, BETTER; None where it says nothing of that."""
    ranks = _ranks(before, now)
    if any(area.rank > ranks[area.code] > 0 for area in now.areas if area.code in ranks):
        return Reason.WORSE
    if any(area.rank and not ranks.get(area.code) for area in now.areas):
        return Reason.NEW_AREA
    return Reason.BETTER if any(ranks.values()) else None


def _ranks(said: Sequence[Observation], now: Observation) -> dict[str, int]:
    """How bad it is said to be in each area, where it is worst, on the scale of `now`."""
    found: dict[str, int] = {}
    for area in (area for each in said if each.scale == now.scale for area in each.areas):
        found[area.code] = max(area.rank, found.get(area.code, 0))
    return found


def _adds_nothing(now: Observation, others: Sequence[Observation]) -> bool:
    """Whether others say of each of its areas that it is as bad there, or worse."""
    ranks = _ranks(others, now)
    return now.rank > 0 and all(ranks.get(area.code, 0) >= area.rank for area in now.areas)


def further(observation: Observation, source: str, rules: Sequence[Rule], rule: Rule | None) -> Iterator[Rule]:
    """The rules, after this one, for areas that none before them has named."""
    rules = [each for each in rules if each.when.areas]
    while rule is not None and rule.when.areas:
        taken = {area.code for area in narrow(observation, rule).areas}
        left = tuple(area for area in observation.areas if area.code not in taken)
        observation = replace(observation, areas=left)
        rules = [each for each in rules if each.name != rule.name]
        rule = match(observation, source, rules) if left else None
        if rule is not None:
            yield rule


def own_rules(rules: Sequence[Rule], observation: Observation, alive: Sequence[Rule]) -> Sequence[Rule]:
    """The rules for what goes on by no branch: none, where the branches that are `alive` have all of its areas."""
    told = [area for area in observation.areas if area.rank or not observation.rank]
    taken = {area.code for rule in alive for area in narrow(observation, rule).areas}
    if any(not rule.when.areas for rule in alive) or (told and all(area.code in taken for area in told)):
        return ()
    return [rule for rule in rules if rule not in alive]


def match(observation: Observation, source: str, rules: Sequence[Rule]) -> Rule | None:
    """The first rule that is for this observation."""
    return next((rule for rule in rules if rule.source == source and _is_for(rule, observation)), None)


def _lacks_signature(observation: Observation, source: str, rules: Sequence[Rule]) -> bool:
    """Whether another rule would be for it, or one at all, if it were signed."""
    signed = replace(observation, signed_by=observation.signed_by or "somebody")
    return match(observation, source, rules) is not match(signed, source, rules)


def narrow(observation: Observation, rule: Rule) -> Observation:
    """The observation with the rule's areas alone."""
    if not rule.when.areas:
        return observation
    kept = tuple(area for area in observation.areas if not holders(area.code).isdisjoint(rule.when.areas))
    return replace(observation, areas=kept)


def lies_in(code: str, wanted: str) -> bool:
    """Whether an area is the one that is wanted, or lies in it."""
    return wanted in holders(code)


@lru_cache(maxsize=10_000)
def holders(code: str) -> frozenset[str]:
    """The codes of what an area lies in, its own among them.

    A municipality has five digits (JIS X 0402 behind the two of JIS X 0401, its prefecture's), and the Agency writes
    two more behind them. Codes of fewer digits are of other kinds: 440 is a region of Shizuoka, not of 44, Oita.
    """
    if len(code) < _MUNICIPALITY or not code.isdigit():
        return frozenset({code})
    return frozenset({code, *(code[:digits] for digits in _WITHIN)})


def _is_for(rule: Rule, observation: Observation) -> bool:
    when = rule.when
    return (
        _one_of(when.types, observation.type)
        and _one_of(when.hazards, observation.hazard)
        and _one_of(when.authors, observation.author)
        and (not when.prefixes or observation.title.startswith(when.prefixes))
        and (not when.areas or _concerns(narrow(observation, rule), observation))
        and _is_severe(when.severity_at_least, observation.severity)
        and _is_high(when.at_least, narrow(observation, rule))
        and (bool(observation.signed_by) or not when.signed)
    )


def _concerns(narrowed: Observation, observation: Observation) -> bool:
    """Whether it says something of the areas that are left: more than that they have nothing of what others have."""
    return narrowed.rank > 0 if observation.rank else bool(narrowed.areas)


def _one_of(wanted: tuple[str, ...], value: str) -> bool:
    return not wanted or value in wanted


def _is_severe(least: Severity | None, severity: Severity) -> bool:
    if least is None:
        return True
    return severity != "unknown" and SEVERITIES.index(severity) <= SEVERITIES.index(least)


def _is_high(at_least: Mapping[Scale, str], observation: Observation) -> bool:
    """Whether it reaches the degree that is asked for on its own scale, or, naming no area, the level in its words."""
    if not at_least:
        return True
    level = at_least.get("level")
    if level is not None and not observation.areas and observation.level >= rank_of("level", level):
        return True
    degree = at_least.get(observation.scale) if observation.scale is not None else None
    return (
        degree is not None and observation.scale is not None and observation.rank >= rank_of(observation.scale, degree)
    )


def rule_faults(rule: Rule) -> list[tuple[str, str]]:
    """What is wrong with a rule by itself, as (field, message); empty when it can decide."""
    faults = []
    if not rule.name.strip():
        faults.append(("name", "must not be blank"))
    if not rule.source.strip():
        faults.append(("source", "must not be blank"))
    if rule.do not in OUTCOMES:
        faults.append(("do", f"must be one of {', '.join(OUTCOMES)}"))
    if rule.fill and rule.template is None:
        faults.append(("fill", "is for the fields of a template: name one"))
    if rule.do in ("draft", "alert") and rule.audience is None and rule.template is None:
        faults.append(("audience", "must say who is alerted: everyone, or at least one group"))
    if rule.audience is not None and not (rule.audience.everyone or rule.audience.groups or rule.audience.people):
        faults.append(("audience", "must be everyone, or name at least one group"))
    for name, severity in (("severity", rule.severity), ("when.severity_at_least", rule.when.severity_at_least)):
        if severity is not None and severity not in SEVERITIES:
            faults.append((name, f"must be one of {', '.join(SEVERITIES)}"))
    if rule.drills not in ("ignore", "drill"):
        faults.append(("drills", "must be ignore or drill: a source's drill is never sent as real"))
    if not 0 <= rule.stop_seconds <= STOP_MAX:
        faults.append(("stop_seconds", f"must be 0 to {STOP_MAX}"))
    if not 1 <= rule.most_per_hour <= CAP_MAX:
        faults.append(("most_per_hour", f"must be 1 to {CAP_MAX}"))
    return faults + _condition_faults(rule.when)


def _condition_faults(when: When) -> list[tuple[str, str]]:
    faults = []
    for scale, degree in when.at_least.items():
        if scale not in SCALES:
            faults.append((f"when.at_least.{scale}", f"is no scale: there are {', '.join(SCALES)}"))
        elif degree not in SCALES[scale]:
            faults.append((f"when.at_least.{scale}", f"must be among {', '.join(SCALES[scale])}"))
    for name, values in (
        ("types", when.types),
        ("hazards", when.hazards),
        ("authors", when.authors),
        ("prefixes", when.prefixes),
        ("areas", when.areas),
    ):
        if any(not value.strip() for value in values):
            faults.append((f"when.{name}", "must not hold a blank word: it would match whatever comes"))
    return faults


def rules_faults(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """What is wrong with a list of rules, by their places."""
    faults = [(f"rule.{index}.{name}", words) for index, rule in enumerate(rules) for name, words in rule_faults(rule)]
    names: set[tuple[str, str]] = set()
    for index, rule in enumerate(rules):
        if (rule.source, rule.name) in names:
            faults.append((f"rule.{index}.name", f"{rule.name!r} stands twice"))
        names.add((rule.source, rule.name))
    return faults
