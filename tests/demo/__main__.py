"""`python -m tests.demo`: alertd on this machine, for someone who has never seen it."""

import signal
import sys


def _main() -> int:
    # Loading the rest takes a moment, in which Ctrl-C should not leave a trace of where it was.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tests.demo.command import main

    return main()


if __name__ == "__main__":
    sys.exit(_main())
