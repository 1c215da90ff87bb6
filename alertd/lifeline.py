"""How a child learns that its parent is gone: it holds the reading end of a pipe that nobody else writes to."""

import os
import signal
import threading
import time
from typing import Final

_GRACE_SECONDS: Final = 45.0


def hold(fd: int) -> None:
    """Ask this process to end when the parent has died, however it died; insist after 45 seconds."""
    threading.Thread(target=_wait, args=(fd,), name="lifeline", daemon=True).start()


def _wait(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
