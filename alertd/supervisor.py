"""Keeps programs running: starts them, brings back those that die, leaves nothing behind."""

import ctypes
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

log = logging.getLogger(__name__)

_FIRST_RESTART_SECONDS: Final = 0.2
_RESTART_SECONDS: Final = 1.5
_STEADY_SECONDS: Final = 10.0  # a child that lived this long is restarted at once again
_STOP_SECONDS: Final = 40.0  # longer than the longest attempt under way
_LAST_STOP_SECONDS: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1


class CannotStart(Exception):
    """Why nothing was started, in words for whoever typed the command."""


@dataclass(slots=True)
class Child:
    """A program that is to be running. `command` gives its arguments for a new id and the id it replaces."""

    name: str
    command: Callable[[str, str | None], Sequence[str]]
    keep_fds: tuple[int, ...] = ()
    may_start: Callable[[], bool] = lambda: True
    last: bool = False  # stopped after the others, who may still need it
    process: subprocess.Popen[bytes] | None = None
    id: str | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    quick_deaths: int = field(default=0)


class Supervisor:
    """Keeps children running until SIGTERM or SIGINT. Lives in the main thread, which alone forks.

    (PR_SET_PDEATHSIG follows the thread that forked, not the process.)
    """

    def __init__(self, children: Sequence[Child], new_id: Callable[[], str]) -> None:
        self._children = list(children)
        self._new_id = new_id
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._wakeup_read, self._wakeup_write = os.pipe()
        for fd in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(fd, False)
        self._stopping = False

    @property
    def lifeline(self) -> int:
        """The reading end of the pipe that breaks when this process is gone."""
        return self._lifeline_read

    def run(self) -> None:
        """Supervise until asked to stop; returns when nothing that was started is left."""
        asking = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
            asking.append(signal.SIGHUP)
        before = {each: signal.signal(each, self._on_signal) for each in asking}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        try:
            while not self._stopping:
                self._reap()
                wait = self._start_due()
                select.select([self._wakeup_read], [], [], wait)
                self._drain_wakeups()
            self._stop_all()
        finally:
            signal.set_wakeup_fd(-1)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _drain_wakeups(self) -> None:
        try:
            os.read(self._wakeup_read, 4096)
        except BlockingIOError:
            return

    def _reap(self) -> None:
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            lived = time.monotonic() - child.started_at
            child.quick_deaths = 0 if lived >= _STEADY_SECONDS else child.quick_deaths + 1
            pause = _FIRST_RESTART_SECONDS if child.quick_deaths <= 1 else _RESTART_SECONDS
            child.due_at = time.monotonic() + pause
            log.warning("%s ended (%s); starting it again", child.name, _how(child.process.returncode))
            child.process = None

    def _start_due(self) -> float:
        """Start what is due; seconds until something else may be."""
        waits = [5.0]
        for child in self._children:
            if child.process is not None:
                continue
            wait = child.due_at - time.monotonic()
            if wait > 0:
                waits.append(wait)
            elif self._may_start(child):
                self._start(child)
            else:
                child.due_at = time.monotonic() + 1.0
                waits.append(1.0)
        return min(waits)

    def _may_start(self, child: Child) -> bool:
        try:
            return child.may_start()
        except OSError as error:  # the disk is full, or a directory is gone: the others are kept running
            log.error("%s cannot be started: %s", child.name, error)
            return False

    def _start(self, child: Child) -> None:
        replaced, child.id = child.id, self._new_id()
        child.started_at = time.monotonic()
        try:
            child.process = subprocess.Popen(
                child.command(child.id, replaced),
                stdin=subprocess.DEVNULL,
                pass_fds=(self._lifeline_read, *child.keep_fds),
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
                preexec_fn=_die_with_parent(os.getpid()),
            )
        except OSError as error:
            log.error("%s cannot be started: %s", child.name, error)
            child.due_at = time.monotonic() + _RESTART_SECONDS

    def _stop_all(self) -> None:
        for last, seconds in ((False, _STOP_SECONDS), (True, _LAST_STOP_SECONDS)):
            running = [child.process for child in self._children if child.process and child.last is last]
            for process in running:
                if process.poll() is None:
                    process.terminate()
            ends_at = time.monotonic() + seconds
            for process in running:
                try:
                    process.wait(max(0.0, ends_at - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit {returncode}"
    names = {int(each): each.name for each in signal.Signals}
    return f"signal {names.get(-returncode, -returncode)}"  # most real-time signals have no name


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program; on Linux it asks for SIGTERM at its parent's death."""
    if not sys.platform.startswith("linux"):
        return None  # elsewhere the lifeline alone does it, and `PrivateRedis` ends an orphan at the next start
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before we asked

    return before_exec
