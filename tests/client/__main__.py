"""The crowd at full size: `python -m tests.client [--service KIND] [--event EVENT] [--processes 50] …`.

50 processes with 4 threads each start at once with the same credentials and make 100 requests each. Prints a
table; ends with 1 if a request failed, or there were other logins than one, or two where the token ends.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.client.crowd import EVENTS, Size, run_crowd
from tests.client.services import KINDS, start_service


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.client", description=__doc__.splitlines()[0])
    parser.add_argument("--service", choices=KINDS, help="by default both")
    parser.add_argument("--event", choices=EVENTS, help="what happens in the middle; by default each in turn")
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--requests", type=int, default=100)
    arguments = parser.parse_args()
    # So that what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    size = Size(arguments.processes, arguments.threads, arguments.requests)
    print("| service | in the middle | requests | succeeded | logins | live tokens | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    bad = []
    for kind in [arguments.service] if arguments.service else KINDS:
        with tempfile.TemporaryDirectory(prefix="nightlatch-client-") as folder:
            service = start_service(kind, Path(folder))
            try:
                for event in [arguments.event] if arguments.event else EVENTS:
                    service.renew()
                    seen = run_crowd(service, event, size, Path(folder) / f"cache-{event}")
                    good = seen.outcomes.get("200", 0)
                    cells = (kind, event, f"{size.total:,}", f"{good:,}", seen.logins, seen.live_tokens)
                    print("|", *(f"{cell} |" for cell in cells), f"{seen.seconds:.1f} |", flush=True)
                    if (good, seen.logins, seen.live_tokens) != (size.total, EVENTS[event][1], 1):
                        bad.append(f"{kind}, {event}: {seen}")
            finally:
                service.close()
    print(*bad, sep="\n", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
