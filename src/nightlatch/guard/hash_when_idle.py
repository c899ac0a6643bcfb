"""Checks passwords when no processor has anything else to do: a program of its own, run by IdleHasher.

It answers each line, a JSON array of a number, a password and a hash, with a line: the number, and 1 or 0. It
ends with its input, which is when whoever started it ends, however that comes.
"""

import json
import os
import signal
import sys


def answer_all() -> None:
    """Answer everything that is asked, as a process of Linux's idle class."""
    # Of what the server has open nothing may stay open in here.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        os.nice(19)
    # From here on whatever wakes up takes the processor from it, so also while it imports.
    from nightlatch.guard.password_matches import password_matches

    # What ends the server by keyboard ends its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        number, password, password_hash = json.loads(line)
        sys.stdout.write(f"{number} {int(password_matches(password, password_hash))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    answer_all()
