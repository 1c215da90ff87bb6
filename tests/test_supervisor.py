"""A supervisor outlives whatever becomes of its children."""

import signal
import subprocess
import sys

import pytest

_SUPERVISING = """
import sys
from alertd.supervisor import Child, Supervisor

def may_start(answers=iter([OSError("no space left on device")])):
    for answer in answers:
        raise answer
    return True

def command(new_id, replaced):
    print("started", flush=True)
    return ["/bin/sh", "-c", sys.argv[1]]

Supervisor([Child("child", command, may_start=may_start)], lambda: "id").run()
print("stopped", flush=True)
"""


@pytest.mark.parametrize("end", ["exit 3", "kill -KILL $$", "kill -35 $$"])
def test_a_child_that_cannot_start_or_ends_in_whatever_way_is_started_again(end: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _SUPERVISING, end], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        assert [supervisor.stdout.readline() for _ in range(3)] == ["started\n"] * 3
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.stdout.read().endswith("stopped\n")
        assert supervisor.wait(20) == 0
