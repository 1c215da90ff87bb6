"""A real Firefox, without a screen, in which even the browser's own windows can be touched.

Over Marionette, Firefox's own protocol for tests, on a socket of the loopback: a command is `[0, number, name,
parameters]`, an answer `[1, number, error, result]`, each as JSON behind its length and a colon. WebDriver alone cannot
reach notifications: they are windows of the browser.
"""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, Self

from tests.services import short_directory

Context = Literal["content", "chrome"]
_PATIENCE: Final = 20.0
_LOOK_SECONDS: Final = 0.05

_OF_A_PAGE_THAT_IS_LEFT: Final = ("stale element reference", "no such element", "no such window", "unknown error")

_PREFERENCES: Final[dict[str, object]] = {
    # Push: from a service of ours, without https and without asking anybody.
    "dom.push.connection.enabled": True,
    "dom.push.testing.allowInsecureServerURL": True,
    "dom.push.testing.ignorePermission": True,
    "permissions.default.desktop-notification": 1,
    # Notifications are windows of the browser's own, since there is no desktop to show them.
    "alerts.useSystemBackend": False,
    # Nothing is fetched from anywhere.
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}

# What of a notification a person sees; its window is there a moment before its words are.
_NOTIFICATIONS: Final = """
return [...Services.wm.getEnumerator("alert:alert")].map((shown) => ({
  title: shown.document.getElementById("alertTitleLabel")?.getAttribute("value"),
  text: shown.document.getElementById("alertTextLabel")?.textContent,
})).filter((shown) => shown.title);
"""
_CLOSE: Final = """
for (const shown of Services.wm.getEnumerator("alert:alert")) shown.document.getElementById("alert-close").click();
"""
_PRESS: Final = """
const [shown] = [...Services.wm.getEnumerator("alert:alert")];
shown.document.getElementById("alertBox").click();
"""


class Moved(Exception):
    """What was looked at is gone: its page is being left for another."""


class Firefox:
    """`with Firefox.started(push_server_url) as firefox:` is a browser of its own until the block ends."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self._number = 0
        self._held = b""
        self._socket = self._connect(port)
        self._receive()  # its greeting
        self._command("WebDriver:NewSession", {"capabilities": {}})

    @classmethod
    @contextmanager
    def started(cls, push_server_url: str) -> Iterator[Self]:
        binary = shutil.which("firefox-esr") or shutil.which("firefox")
        if binary is None:
            raise RuntimeError("Firefox is not installed: run `make test`, which installs it")
        profile = short_directory()
        profile.mkdir(mode=0o700)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        preferences = {**_PREFERENCES, "dom.push.serverURL": push_server_url, "marionette.port": port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        command = [binary, "--headless", "--no-remote", "--marionette", "--remote-allow-system-access"]
        process = subprocess.Popen(
            [*command, "--profile", str(profile)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            firefox = cls(process, port)
            try:
                yield firefox
            finally:
                firefox._socket.close()
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(profile, ignore_errors=True)

    def go(self, url: str) -> None:
        """Load a page in the one tab."""
        self._in("content")
        self._command("WebDriver:Navigate", {"url": url})

    @property
    def url(self) -> str:
        self._in("content")
        return str(self._command("WebDriver:GetCurrentURL", {})["value"])

    def click(self, selector: str) -> None:
        """Click what is there, or will be in a moment, as a person does."""

        def look() -> bool:
            self._in("content")
            found = self._command("WebDriver:FindElements", {"using": "css selector", "value": selector})
            if found:
                self._command("WebDriver:ElementClick", {"id": next(iter(found[0].values()))})
            return bool(found)

        self.wait_for(look)

    def text(self, selector: str) -> str:
        """What stands there."""
        words = "const found = document.querySelector(arguments[0]); return found ? found.textContent.trim() : ''"
        return str(self.run(words, selector))

    def run(self, script: str, *arguments: object, context: Context = "content") -> Any:
        """What the body of a function returns in the page, or (`chrome`) in the browser itself."""
        self._in(context)
        asked = {"script": script, "args": list(arguments), "newSandbox": False}
        return self._command("WebDriver:ExecuteScript", asked)["value"]

    def run_async(self, script: str, *arguments: object, context: Context = "content") -> Any:
        """What an async function's body comes to."""
        self._in(context)
        wrapped = f"const done = arguments[arguments.length - 1]; (async function () {{ {script} }})"
        call = ".apply(null, [...arguments].slice(0, -1)).then(done, (error) => done({ fault: String(error) }))"
        asked = {"script": wrapped + call, "args": list(arguments)}
        value = self._command("WebDriver:ExecuteAsyncScript", asked)["value"]
        if isinstance(value, Mapping) and "fault" in value:
            raise RuntimeError(value["fault"])
        return value

    def notifications(self) -> list[dict[str, str]]:
        """What stands on the screen: `title`, `text`."""
        found: list[dict[str, str]] = self.run(_NOTIFICATIONS, context="chrome")
        return found

    def press_notification(self) -> None:
        """Press the first of them."""
        self.run(_PRESS, context="chrome")

    def close_notifications(self) -> None:
        """Put them away without looking, as somebody does who is driving."""
        self.run(_CLOSE, context="chrome")

    def urls(self) -> list[str]:
        """The addresses of all tabs."""
        tabs = "return gBrowser.tabs.map((tab) => tab.linkedBrowser.currentURI.spec)"
        found: list[str] = self.run(tabs, context="chrome")
        return found

    def show_newest_tab(self) -> None:
        """From here on the newest tab is the one."""
        handles = self._command("WebDriver:GetWindowHandles", {})
        self._command("WebDriver:SwitchToWindow", {"handle": handles[-1]})

    def wait_for(self, look: Callable[[], Any], within: float = _PATIENCE) -> Any:
        """What `look` sees, once it is something; TimeoutError otherwise."""
        ends_at = time.monotonic() + within
        while time.monotonic() < ends_at:
            with suppress(Moved):
                if seen := look():
                    return seen
            time.sleep(_LOOK_SECONDS)
        raise TimeoutError(f"not within {within} s")

    def _in(self, context: Context) -> None:
        self._command("Marionette:SetContext", {"value": context})

    def _connect(self, port: int) -> socket.socket:
        def look() -> socket.socket | None:
            if self._process.poll() is not None:
                raise RuntimeError(f"Firefox ended with {self._process.returncode}")
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            except OSError:
                return None

        connected: socket.socket = self.wait_for(look, 60)
        return connected

    def _command(self, name: str, parameters: Mapping[str, object]) -> Any:
        self._number += 1
        said = json.dumps([0, self._number, name, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(said), said))
        _, number, error, result = self._receive()
        assert number == self._number
        if error is not None and error["error"] in _OF_A_PAGE_THAT_IS_LEFT:
            raise Moved(error["message"])
        if error is not None:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result

    def _receive(self) -> Any:
        while b":" not in self._held:
            self._held += self._read()
        length, _, rest = self._held.partition(b":")
        while len(rest) < int(length):
            rest += self._read()
        said, self._held = rest[: int(length)], rest[int(length) :]
        return json.loads(said)

    def _read(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise RuntimeError("Firefox is gone")
        return data
