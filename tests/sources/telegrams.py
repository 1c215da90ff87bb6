"""Small telegrams as the Agency sends them, of our own making."""

METEOROLOGY = "http://xml.kishou.go.jp/jmaxml1/body/meteorology1/"

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<Report xmlns="http://xml.kishou.go.jp/jmaxml1/" xmlns:jmx="http://xml.kishou.go.jp/jmaxml1/">
<Control>
<Title>{control}</Title>
<DateTime>{sent}</DateTime>
<Status>{status}</Status>
<EditorialOffice>松山地方気象台</EditorialOffice>
<PublishingOffice>{office}</PublishingOffice>
</Control>
<Head xmlns="http://xml.kishou.go.jp/jmaxml1/informationBasis1/">
<Title>{title}</Title>
<ReportDateTime>{reported}</ReportDateTime>
<TargetDateTime>{reported}</TargetDateTime>
<EventID>{event}</EventID>
<InfoType>{info}</InfoType>
<Serial>{serial}</Serial>
<InfoKind>{kind}</InfoKind>
<InfoKindVersion>1.0_0</InfoKindVersion>
<Headline>
<Text>{text}</Text>
{information}
</Headline>
</Head>
<Body xmlns="http://xml.kishou.go.jp/jmaxml1/body/meteorology1/">
{body}
</Body>
</Report>
"""


def telegram(**changes: str) -> bytes:
    """A telegram; `at`: the minute of 2026-11-22 03:00 that it is reported in."""
    at = changes.pop("at", "00")
    values = {
        "control": "気象警報・注意報（Ｒ０６）（大雨）",
        "sent": f"2026-11-21T18:{at}:30Z",
        "status": "通常",
        "office": "松山地方気象台",
        "title": "愛媛県大雨警報・注意報",
        "reported": f"2026-11-22T03:{at}:00+09:00",
        "event": "",
        "info": "発表",
        "serial": "",
        "kind": "気象警報・注意報",
        "text": "警戒してください。",
        "information": "",
        "body": "",
    }
    return REPORT.format(**{**values, **changes}).encode()


def warning(towns: dict[str, str], notice: str = "", **changes: str) -> bytes:
    """A weather warning: for each town, by code, its Kinds."""
    area = "<Area><Name>{name}</Name><Code>{code}</Code></Area>"
    prefecture = area.format(name="愛媛県", code="380000")
    items = "".join(
        f"<Item>{kinds}{area.format(name=TOWNS[code], code=code)}</Item>\n" for code, kinds in towns.items()
    )
    body = (
        f"<Notice>{notice}</Notice>\n"
        f'<Warning type="気象警報・注意報（府県予報区等）"><Item>{NONE}{prefecture}</Item></Warning>\n'
        f'<Warning type="気象警報・注意報（市町村等）">\n{items}</Warning>'
    )
    return telegram(**{"body": body, **changes})


def old_warning(towns: dict[str, str], notice: str = "", **changes: str) -> bytes:
    """The same in the form of VPWW54."""
    return warning(
        towns, notice, **{"control": "気象警報・注意報（Ｈ２７）", "title": "愛媛県気象警報・注意報", **changes}
    )


TOWNS = {"3820100": "松山市", "3821400": "西予市", "3848800": "鬼北町"}
NONE = "<Kind><Status>発表警報・注意報はなし</Status></Kind>"


def kind(name: str, code: str, status: str = "発表", condition: str = "", *notes: str) -> str:
    more = f"<Condition>{condition}</Condition>" if condition else ""
    noted = "".join(f"<Note>{note}</Note>" for note in notes)
    attention = f"<Attention>{noted}</Attention>" if notes else ""
    return f"<Kind><Name>{name}</Name><Code>{code}</Code><Status>{status}</Status>{more}{attention}</Kind>"


def tsunami(regions: dict[str, tuple[str, str, str, str]], **changes: str) -> bytes:
    """For each region, by code: what is in force by name and code, and what was before."""
    items = "".join(
        f"<Item><Area><Name>{name}</Name><Code>{code}</Code></Area><Category>"
        f"<Kind><Name>{now}</Name><Code>{number}</Code></Kind>"
        f"<LastKind><Name>前</Name><Code>{last}</Code></LastKind></Category></Item>\n"
        for code, (name, now, number, last) in regions.items()
    )
    return telegram(
        **{
            "control": "津波警報・注意報・予報a",
            "office": "気象庁",
            "title": "津波警報・津波注意報",
            "kind": "津波警報・注意報・予報",
            "event": "20261122025500",
            "body": f"<Tsunami><Forecast>\n{items}</Forecast></Tsunami>",
            **changes,
        }
    )


def quake(body: str, **changes: str) -> bytes:
    observed = f"<Intensity><Observation>{body}</Observation></Intensity>"
    return telegram(
        **{
            "control": "震源・震度に関する情報",
            "title": "震源・震度情報",
            "kind": "地震情報",
            "event": "20261122025500",
            "serial": "1",
            "body": observed,
            **changes,
        }
    )


def region(code: str, name: str, most: str, cities: str = "") -> str:
    area = f"<Area><Name>{name}</Name><Code>{code}</Code>{most}{cities}</Area>"
    return f"<Pref><Name>愛媛県</Name><Code>38</Code>{area}</Pref>"


def city(code: str, most: str) -> str:
    return f"<City><Name>{TOWNS[code]}</Name><Code>{code}</Code>{most}</City>"


def information(where: str, name: str, code: str, areas: dict[str, str], condition: str = "") -> str:
    """A list of the headline, which the body of volcanoes has in the same form."""
    named = "".join(f"<Area><Name>{area}</Name><Code>{key}</Code></Area>" for key, area in areas.items())
    return (
        f'<Information type="{where}"><Item><Kind><Name>{name}</Name><Code>{code}</Code>'
        f"<Condition>{condition}</Condition></Kind><Areas>{named}</Areas></Item></Information>"
    )
