"""Who works in みかん市: departments, and people with phones, mailboxes, browsers and habits. All of it is made up."""

import csv
import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

NAME: Final = "みかん市"
PEOPLE_MIN: Final = 20
_SEED: Final = 20
_DELAY_MEDIAN: Final = 8.0  # seconds until somebody has seen it and answered
_DELAY_SPREAD: Final = 0.7
_DELAY_MAX: Final = 45.0
_PROXY_DELAY: Final = 20.0
_CHOICE_WEIGHTS: Final = (78, 19, 3)

Address = Literal["works", "refused", "lost"]
"""How an address takes what is sent to it: `refused` at once, or `lost` after it was handed over."""


class Way(Enum):
    """How somebody answers; the values are the words that alertd has for it."""

    WEBSOCKET = "websocket"
    API = "api"
    PUSH = "push"
    SMS_REPLY = "sms-reply"
    SMS_LINK = "sms-link"
    MAIL_LINK = "email-link"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the town hall."""

    id: str
    name: str
    parent: str | None
    weight: int = 0  # how many people work right here, compared with the others; none in what only has parts


# fmt: off
GROUPS: Final = (
    Group("cityhall", "市役所", None),
    Group("general", "総務部", "cityhall"),
    Group("crisis", "危機管理課", "general", 6),
    Group("personnel", "人事課", "general", 5),
    Group("digital", "情報政策課", "general", 5),
    Group("citizens", "市民部", "cityhall"),
    Group("registry", "市民課", "citizens", 9),
    Group("insurance", "保険年金課", "citizens", 7),
    Group("welfare", "福祉部", "cityhall"),
    Group("children", "こども課", "welfare", 8),
    Group("elderly", "高齢福祉課", "welfare", 7),
    Group("works", "建設部", "cityhall"),
    Group("roads", "道路河川課", "works", 8),
    Group("housing", "建築住宅課", "works", 5),
    Group("water", "上下水道課", "works", 8),
    Group("education", "教育委員会", "cityhall"),
    Group("schools", "学校教育課", "education", 7),
    Group("library", "市立図書館", "education", 4),
    Group("fire", "消防本部", "cityhall", 12),
    Group("hospital", "市民病院", "cityhall", 16),
)

_SURNAMES: Final = (
    "佐藤 sato", "鈴木 suzuki", "高橋 takahashi", "田中 tanaka", "伊藤 ito", "渡辺 watanabe", "山本 yamamoto",
    "中村 nakamura", "小林 kobayashi", "加藤 kato", "吉田 yoshida", "山田 yamada", "佐々木 sasaki", "松本 matsumoto",
    "井上 inoue", "木村 kimura", "清水 shimizu", "山崎 yamazaki", "池田 ikeda", "橋本 hashimoto", "石川 ishikawa",
    "前田 maeda", "藤田 fujita", "岡田 okada", "長谷川 hasegawa", "村上 murakami", "近藤 kondo", "坂本 sakamoto",
    "遠藤 endo", "青木 aoki", "西村 nishimura", "福田 fukuda", "太田 ota", "三浦 miura", "岡本 okamoto",
)
_GIVEN_NAMES: Final = (
    "陽菜 hina", "結衣 yui", "美咲 misaki", "さくら sakura", "葵 aoi", "真由美 mayumi", "裕子 yuko", "恵子 keiko",
    "直美 naomi", "智子 tomoko", "彩 aya", "千尋 chihiro", "蓮 ren", "大翔 hiroto", "悠真 yuma", "健太 kenta",
    "拓也 takuya", "翔 sho", "大輔 daisuke", "誠 makoto", "浩 hiroshi", "健一 kenichi", "隆 takashi", "学 manabu",
    "亮 ryo", "直樹 naoki", "純 jun", "薫 kaoru", "光 hikaru", "歩 ayumu",
)
_ENGLISH_NAMES: Final = (
    "Maria Santos", "John Miller", "Nguyen Van An", "Priya Sharma", "Emma Wilson", "Lucas Pereira", "Grace Kim",
    "Daniel Okafor", "Anna Kowalska", "Oliver Brown", "Siti Rahayu", "Thomas Meyer",
)
# fmt: on


@dataclass(slots=True, eq=False)
class Person:
    """Somebody on the staff: how they can be reached, and how they answer."""

    id: str
    name: str
    language: str
    group: str
    phone: str | None
    email: str | None
    phone_is: Address = "works"
    mailbox_is: Address = "works"
    browsers: int = 0
    browsers_are: Address = "works"
    is_connected: bool = False
    way: Way | None = None  # None: never answers
    delay: float = _DELAY_MEDIAN
    choice: int = 0  # which of the answers

    def ways(self) -> dict[Way, int]:
        """The ways that are open to this person, and how much they like each."""
        liking: dict[Way, int] = {}
        if self.is_connected:
            liking |= {Way.WEBSOCKET: 12, Way.API: 3}
        if self.browsers and self.browsers_are == "works":
            liking |= {Way.PUSH: 6}
        if self.phone and self.phone_is == "works":
            liking |= {Way.SMS_REPLY: 3, Way.SMS_LINK: 2}
        if self.email and self.mailbox_is == "works":
            liking |= {Way.MAIL_LINK: 2}
        return liking


@dataclass(frozen=True, slots=True)
class Town:
    """Everybody; among them who runs alertd, who posts and watches, and whose phone the visitor may play."""

    people: tuple[Person, ...]
    admin: Person
    manager: Person
    visitor: Person

    def head_of(self, group: Group) -> Person | None:
        """Who supervises a department: the first of those who work right in it."""
        return next((person for person in self.people if person.group == group.id), None)

    def csv(self) -> str:
        """Everybody, as alertd imports people."""
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(("id", "name", "email", "phone", "language", "groups", "active"))
        for each in self.people:
            writer.writerow((each.id, each.name, each.email, each.phone, each.language, each.group, "true"))
        return file.getvalue()


def build(size: int) -> Town:
    """A town with `size` people on its staff, at least PEOPLE_MIN: the same one every time."""
    dice = random.Random(_SEED)
    people = _hire(size, dice)
    admin = next(person for person in people if person.group == "digital")
    manager = next(person for person in people if person.group == "crisis")
    visitor = next(person for person in reversed(people) if person.language == "ja")
    others = [person for person in people if person not in (admin, manager, visitor)]
    dice.shuffle(others)
    reachable = [admin, *_give_trouble(others, size)]
    _give_devices(reachable, size, dice)
    manager.browsers = visitor.browsers = 1
    _give_habits([manager, *reachable], size, dice)
    return Town(tuple(people), admin, manager, visitor)


def _hire(size: int, dice: random.Random) -> list[Person]:
    """People in departments, each with a phone and a mailbox of their own."""
    departments = [group for group in GROUPS if group.weight]
    weights = [group.weight for group in departments]
    places = [*departments, *dice.choices(departments, weights, k=max(0, size - len(departments)))][:size]
    foreign = set(dice.sample(range(len(departments), size - 1), min(_count(size, 0.04), len(_ENGLISH_NAMES))))
    english = iter(_ENGLISH_NAMES)
    people: list[Person] = []
    mailboxes: set[str] = set()
    for number, group in enumerate(places):
        name, local = _japanese_name(dice) if number not in foreign else _english_name(next(english))
        local = local if local not in mailboxes else f"{local}{number}"
        mailboxes.add(local)
        people.append(
            Person(
                id=f"m{number + 1:04}",
                name=name,
                language="en" if number in foreign else "ja",
                group=group.id,
                phone=f"+81900{number + 1:07}",  # 090-0…: numbers that no carrier has given out
                email=f"{local}@mikan.example",
            )
        )
    return people


def _japanese_name(dice: random.Random) -> tuple[str, str]:
    surname, surname_latin = dice.choice(_SURNAMES).split()
    given, given_latin = dice.choice(_GIVEN_NAMES).split()
    return f"{surname} {given}", f"{given_latin}.{surname_latin}"


def _english_name(name: str) -> tuple[str, str]:
    return name, name.lower().replace(" ", ".")


def _count(size: int, share: float) -> int:
    return max(1, round(size * share))


def _give_trouble(others: Sequence[Person], size: int) -> list[Person]:
    """Take away from some what a town hall never has from everybody; those to whom at least one way works."""
    pool = list(others)

    def some(share: float) -> list[Person]:
        return [pool.pop() for _ in range(_count(size, share))]

    without_anything = some(0.013)
    for person in without_anything:
        person.phone = person.email = None
    # Nobody can reach this one, but somebody has seen them: their manager answers for them.
    without_anything[0].way, without_anything[0].delay = Way.PROXY, _PROXY_DELAY
    for person in some(0.007):
        person.phone_is, person.email = "refused", None
    reachable = []
    for person in some(0.01):
        person.phone_is = "refused"
        reachable.append(person)
    for person in some(0.01):
        person.phone_is = "lost"
        reachable.append(person)
    for person in some(0.007):
        person.mailbox_is = "refused"
        reachable.append(person)
    for person in some(0.013):
        person.browsers, person.browsers_are = 1, "refused"
        reachable.append(person)
    for person in some(0.1):
        person.phone = None
        reachable.append(person)
    for person in some(0.05):
        person.email = None
        reachable.append(person)
    return [*reachable, *pool]


def _give_devices(reachable: Sequence[Person], size: int, dice: random.Random) -> None:
    without = [person for person in reachable if not person.browsers]
    with_browser = dice.sample(without, min(_count(size, 0.4), len(without)))
    for number, person in enumerate(with_browser):
        person.browsers = 2 if number < _count(size, 0.05) else 1
    for person in dice.sample(reachable, min(_count(size, 0.133), len(reachable))):
        person.is_connected = True


def _give_habits(people: Sequence[Person], size: int, dice: random.Random) -> None:
    for person in people:
        ways = person.ways()
        (person.way,) = dice.choices(list(ways), list(ways.values()))
        person.delay = min(dice.lognormvariate(math.log(_DELAY_MEDIAN), _DELAY_SPREAD), _DELAY_MAX)
        (person.choice,) = dice.choices(range(len(_CHOICE_WEIGHTS)), _CHOICE_WEIGHTS)
    for person in dice.sample(people[1:], _count(size, 0.07)):  # all but the manager may keep silent
        person.way = None
