"""What an operator may write, what comes of it, and how a mistake is told."""

import re
from collections.abc import Mapping
from datetime import time
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import make_url

from channels.registry import all_settings
from config.settings import NAMES, MailListen, Settings, SettingsError, load, machine_zone

CHANNEL_SETTINGS = ("PIGEON_URL", "PIGEON_TOKEN")
KEY = "k" * 32


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**values: str) -> Settings:
    return load({f"ALERTD_{name}": value for name, value in values.items()}, CHANNEL_SETTINGS)


def faults(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        load(environ, CHANNEL_SETTINGS)
    return caught.value.faults


def fault(name: str, value: str) -> str:
    """What is said of this one setting; nothing else is at fault."""
    ((faulty, message),) = faults({f"ALERTD_{name}": value})
    assert faulty == name
    return message


def test_nothing_set_gives_defaults_that_work_on_one_machine(tmp_path: Path) -> None:
    defaults = load({"TZ": "Asia/Tokyo", "HOME": "/root"}, CHANNEL_SETTINGS)
    assert defaults == Settings(
        database_url=f"sqlite:///{tmp_path}/var/alertd.db",
        redis_url=None,
        data_dir=tmp_path / "var",
        public_url=None,
        secret_key=None,
        vapid_private_key=None,
        web_processes=1,
        workers_per_channel=1,
        tick_seconds=1.0,
        self_test=time(10, 0),
        trusted_proxies=(),
        organisation="alertd",
        time_zone=ZoneInfo("Asia/Tokyo"),
        region="JP",
        source_hosts="",
        webhook_hosts="",
        mail_listen=None,
        channels={},
    )


def test_an_empty_value_counts_as_none() -> None:
    assert settings(REDIS_URL="", ORGANISATION="", PIGEON_URL="") == settings()


class TestSources:
    def write(self, text: str) -> str:
        Path("alertd.toml").write_text(text, "utf-8")
        return "alertd.toml"

    def test_the_environment_beats_the_file_which_beats_the_default(self) -> None:
        config = self.write('organisation = "霞ヶ丘市"\nregion = "KR"\npigeon_url = "coo:"\n')
        found = settings(CONFIG=config, REGION="TW")
        assert (found.organisation, found.region, found.tick_seconds) == ("霞ヶ丘市", "TW", 1.0)
        assert found.channels == {"PIGEON_URL": "coo:"}

    def test_the_file_may_hold_numbers_and_lists(self) -> None:
        config = self.write('tick_seconds = 0.5\npigeon_token = 7\ntrusted_proxies = ["10.0.0.0/8", "::1"]\n')
        found = settings(CONFIG=config)
        assert found.tick_seconds == 0.5
        assert found.channels == {"PIGEON_TOKEN": "7"}
        assert found.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))

    def test_paths_in_the_file_start_from_its_directory(self, tmp_path: Path) -> None:
        etc = tmp_path / "etc"
        etc.mkdir()
        (etc / "alertd.toml").write_text('data_dir = "../data"\nsecret_key_file = "key"\n', "utf-8")
        (etc / "key").write_text(KEY, "utf-8")
        found = settings(CONFIG="etc/alertd.toml")
        assert found.data_dir == tmp_path / "data"
        assert found.secret_key == KEY

    @pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
    def test_a_secret_file_loses_one_trailing_newline(self, ending: str) -> None:
        Path("token").write_bytes(b" coo \n" + ending.encode())
        assert settings(PIGEON_TOKEN_FILE="token").channels == {"PIGEON_TOKEN": " coo " if not ending else " coo \n"}

    def test_a_secret_file_in_the_environment_beats_the_file(self) -> None:
        Path("token").write_text("new", "utf-8")
        config = self.write('pigeon_token = "old"\n')
        assert settings(CONFIG=config, PIGEON_TOKEN_FILE="token").channels == {"PIGEON_TOKEN": "new"}

    def test_a_value_beside_its_file_is_refused(self) -> None:
        environ = {"ALERTD_SECRET_KEY": KEY, "ALERTD_SECRET_KEY_FILE": "key"}
        assert faults(environ) == [
            ("SECRET_KEY", "set either ALERTD_SECRET_KEY or ALERTD_SECRET_KEY_FILE, not both"),
        ]

    def test_a_secret_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        assert f"{tmp_path}/key: No such file" in fault("SECRET_KEY_FILE", "key")
        Path("key").write_text("\n", "utf-8")
        assert "is empty" in fault("SECRET_KEY_FILE", "key")
        Path("key").write_bytes(b"\xff" * 40)
        assert "UTF-8" in fault("SECRET_KEY_FILE", "key")

    def test_a_file_that_is_missing_or_not_toml_is_named(self, tmp_path: Path) -> None:
        assert f"{tmp_path}/none.toml: No such file" in fault("CONFIG", "none.toml")
        assert "alertd.toml is not TOML: " in fault("CONFIG", self.write("region: JP"))

    def test_a_table_in_the_file_is_refused(self) -> None:
        config = self.write('[region]\ncode = "JP"\n')
        ((name, message),) = faults({"ALERTD_CONFIG": config})
        assert name == "REGION"
        assert "write text, a number, or a list of those" in message


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("DATABSE_URL", "; did you mean ALERTD_DATABASE_URL?"),
            ("SECRET_KEYFILE", "; did you mean ALERTD_SECRET_KEY_FILE?"),
            ("PIGEON_TOKN", "; did you mean ALERTD_PIGEON_TOKEN?"),
            ("CONFG", "; did you mean ALERTD_CONFIG?"),
            ("XYZZY", ""),
        ],
    )
    def test_in_the_environment(self, name: str, hint: str) -> None:
        assert fault(name, "x") == f"there is no such setting{hint}"

    def test_in_the_file(self, tmp_path: Path) -> None:
        Path("a.toml").write_text('redis_ulr = "redis://localhost"\nREGION = "JP"\n', "utf-8")
        assert faults({"ALERTD_CONFIG": "a.toml"}) == [
            ("REGION", f"in {tmp_path}/a.toml, write REGION in small letters"),
            ("REDIS_ULR", f"there is no such setting in {tmp_path}/a.toml; did you mean redis_url?"),
        ]

    def test_variables_of_others_are_none_of_our_business(self) -> None:
        load({"ALERT_URL": "x", "REDIS_URL": "y"}, CHANNEL_SETTINGS)


class TestDatabase:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
            ("postgres://u:p%23@h:5433/d?sslmode=require", "postgresql+psycopg://u:p%23@h:5433/d?sslmode=require"),
            ("postgresql://h/d", "postgresql+psycopg://h/d"),
            ("postgresql+psycopg://u@/d?host=/run/pg", "postgresql+psycopg://u@/d?host=/run/pg"),
        ],
    )
    def test_accepted(self, written: str, meant: str) -> None:
        assert settings(DATABASE_URL=written).database_url == meant

    def test_a_relative_file_becomes_absolute(self, tmp_path: Path) -> None:
        assert settings(DATABASE_URL="sqlite:///b/../a.db").database_url == f"sqlite:///{tmp_path}/a.db"

    @pytest.mark.parametrize("data_dir", ["/srv/100%25?#ä b", "/srv/市役所"])
    def test_any_data_directory_makes_a_url_that_leads_there(self, data_dir: str) -> None:
        assert make_url(settings(DATA_DIR=data_dir).database_url).database == f"{data_dir}/alertd.db"

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite:///a.db?mode=ro",
            "mysql://h/d",
            "postgresql+asyncpg://h/d",
            "postgresql://h",
            "postgresql://h/",
            "postgresql://u:pa/ss@h/d",
            "postgresql://u:pass#word@h/d",
            "postgresql://h:port/d",
            "postgresql://h /d",
            "a.db",
        ],
    )
    def test_refused_without_repeating_what_may_hold_a_password(self, url: str) -> None:
        message = fault("DATABASE_URL", url)
        assert "sqlite:///" in message or "postgresql://" in message
        assert "ss@h" not in message
        assert "word@" not in message


@pytest.mark.parametrize(
    "url",
    ["redis://localhost", "redis://:secret@h:6380/3", "rediss://h/0?ssl_ca_certs=/ca.pem", "unix:///run/r.sock?db=2"],
)
def test_redis_accepted(url: str) -> None:
    assert settings(REDIS_URL=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://h",
        "redis://",
        "redis://h/x",
        "redis://h:0",
        "redis://h?db=x",
        "unix://r.sock",
        "unix:///",
    ],
)
def test_redis_refused(url: str) -> None:
    assert "write redis://" in fault("REDIS_URL", url)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Alerts.Example.jp/", "https://alerts.example.jp"),
        ("https://alerts.example.jp:443", "https://alerts.example.jp"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_public_url_accepted(written: str, meant: str) -> None:
    assert settings(PUBLIC_URL=written).public_url == meant


@pytest.mark.parametrize(
    "url",
    [
        "alerts.example.jp",
        "ftp://alerts.example.jp",
        "https://",
        "https://alerts.example.jp/alertd",
        "https://alerts.example.jp/?",
        "https://alerts.example.jp#a",
        "https://admin@alerts.example.jp",
        "https://alerts.example.jp:99999",
        "https://alerts.\nexample.jp",
        "https://警報.example.jp",
    ],
)
def test_public_url_refused(url: str) -> None:
    assert "https://alerts.example.jp or http://" in fault("PUBLIC_URL", url)


def test_data_dir_that_is_a_file_is_refused() -> None:
    Path("file").touch()
    assert "name a directory" in fault("DATA_DIR", "file")


def test_a_short_secret_key_is_refused() -> None:
    assert settings(SECRET_KEY=KEY).secret_key == KEY
    assert "at least 32" in fault("SECRET_KEY", KEY[1:])


@pytest.mark.parametrize("seconds", ["0", "-1", "60.1", "nan", "inf", "1s"])
def test_tick_seconds_refused(seconds: str) -> None:
    assert "above 0, 60 at most" in fault("TICK_SECONDS", seconds)


@pytest.mark.parametrize("name", ["WEB_PROCESSES", "WORKERS_PER_CHANNEL"])
def test_numbers_of_processes(name: str) -> None:
    assert getattr(settings(**{name: "16"}), name.lower()) == 16
    for wrong in ("0", "17", "-1", "2.0", "two", "²", "03"):
        assert "a whole number, 1 to 16" in fault(name, wrong)


def test_trusted_proxies() -> None:
    found = settings(TRUSTED_PROXIES=" 127.0.0.1, 10.0.0.0/8 ").trusted_proxies
    assert found == (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"))
    assert "has host bits set" in fault("TRUSTED_PROXIES", "10.0.0.1/8")
    assert "proxy.example.jp" in fault("TRUSTED_PROXIES", "proxy.example.jp")


def test_organisation() -> None:
    assert settings(ORGANISATION=" 市" + "役" * 39).organisation == "市" + "役" * 39
    for wrong in (" ", "市" * 41, "市\n役所", "市\u2028役所"):
        assert "1 to 40 characters" in fault("ORGANISATION", wrong)


def test_region() -> None:
    assert settings(REGION="kr").region == "KR"
    for wrong in ("JPN", "日本", "J"):
        assert "two letters" in fault("REGION", wrong)


class TestTimeZone:
    def test_the_setting_beats_the_machine(self) -> None:
        environ = {"ALERTD_TIME_ZONE": "Asia/Seoul", "TZ": "Asia/Tokyo"}
        assert load(environ, ()).time_zone == ZoneInfo("Asia/Seoul")

    @pytest.mark.parametrize("name", ["JST", "Asia", "../Tokyo", "/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tōkyō"])
    def test_refused(self, name: str) -> None:
        assert "Asia/Tokyo" in fault("TIME_ZONE", name)

    @pytest.mark.parametrize(
        ("tz", "zone"),
        [
            (":Asia/Tokyo", "Asia/Tokyo"),
            (":/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
            ("JST-9", "Etc/GMT-9"),
            ("UTC0", "Etc/GMT+0"),
            ("no such zone", "UTC"),
            ("", "UTC"),
        ],
    )
    def test_of_the_environment(self, tz: str, zone: str, tmp_path: Path) -> None:
        assert machine_zone(tz, tmp_path) == ZoneInfo(zone)

    def test_of_the_machine(self, tmp_path: Path) -> None:
        (tmp_path / "timezone").write_text("Asia/Seoul\n", "utf-8")
        assert machine_zone("", tmp_path) == ZoneInfo("Asia/Seoul")
        (tmp_path / "localtime").symlink_to("/nowhere/zoneinfo/Asia/Tokyo")
        assert machine_zone("", tmp_path) == ZoneInfo("Asia/Tokyo")


def test_all_faults_are_told_at_once_each_on_a_line_with_its_full_name() -> None:
    with pytest.raises(SettingsError) as caught:
        settings(DATABASE_URL="x", TICK_SECONDS="soon", REGOIN="JP", PIGEON_URL="coo:", PIGEON_TOKEN_FILE="gone")
    lines = str(caught.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {
        "ALERTD_DATABASE_URL",
        "ALERTD_TICK_SECONDS",
        "ALERTD_REGOIN",
        "ALERTD_PIGEON_TOKEN_FILE",
    }
    assert len(lines) == 4


def test_secrets_do_not_show() -> None:
    found = settings(
        SECRET_KEY="hush" * 8,
        VAPID_PRIVATE_KEY="hush",
        DATABASE_URL="postgresql://u:hush@h/d",
        REDIS_URL="redis://:hush@h",
        PIGEON_TOKEN="hush",
    )
    assert "hush" not in repr(found)
    assert "hush" not in fault("SECRET_KEY", "hush")


def test_the_example_names_every_setting_and_every_line_of_it_is_right(tmp_path: Path) -> None:
    names = [setting.name for setting in all_settings()]
    example = (Path(__file__).parents[2] / "config" / "alertd.example.toml").read_text("utf-8")
    lines = re.findall(r"^# (\w+ = .*)$", example, re.MULTILINE)
    for secret in re.findall(r'"(/run/secrets/[^"]+)"', example):
        (tmp_path / Path(secret).name).write_text(KEY, "utf-8")
    (tmp_path / "alertd.toml").write_text("\n".join(lines).replace("/run/secrets/", ""), "utf-8")
    found = load({"ALERTD_CONFIG": "alertd.toml"}, names)
    assert set(found.channels) == set(names)
    assert {line.split(" ")[0].removesuffix("_file").upper() for line in lines} == NAMES | set(names)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("lmtp://127.0.0.1:8024", MailListen(True, "127.0.0.1", 8024)),
        ("smtp://[::1]:2525/", MailListen(False, "::1", 2525)),
        ("LMTP://localhost:24", MailListen(True, "localhost", 24)),
    ],
)
def test_where_bounces_are_taken_in(value: str, place: MailListen) -> None:
    assert settings(MAIL_LISTEN=value).mail_listen == place


@pytest.mark.parametrize(
    "value",
    [
        *("127.0.0.1:8024", "lmtp://127.0.0.1", "lmtp://:8024", "http://127.0.0.1:8024", "lmtp://127.0.0.1:0"),
        *("lmtp://127.0.0.1:99999", "lmtp://me@127.0.0.1:8024", "lmtp://127.0.0.1:8024/x", "lmtp://127.0.0.1:8024?x=1"),
    ],
)
def test_where_bounces_cannot_be_taken_in(value: str) -> None:
    assert "lmtp://ADDRESS:PORT" in fault("MAIL_LISTEN", value)


@pytest.mark.parametrize(
    ("text", "at"), [("06:30", time(6, 30)), ("23:59", time(23, 59)), ("off", None), ("OFF", None)]
)
def test_self_test(text: str, at: time | None) -> None:
    assert settings(SELF_TEST=text).self_test == at


@pytest.mark.parametrize("text", ["24:00", "6:30", "10:60", "never", "10:00:00", "１０:００"])
def test_self_test_refused(text: str) -> None:
    assert "write a local time as 10:00, or off" in fault("SELF_TEST", text)
