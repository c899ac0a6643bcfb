"""Fuzz what reads bytes from outside: python -m tests.fuzz --inputs 10000000.

Each target is fuzzed in a process of its own; one that crashes or breaks a rule leaves its input as a
file, and ends the run with exit code 1. The seed is printed; the same one takes the same way.
"""

import argparse
import secrets
import subprocess
import sys
import time
from importlib.util import find_spec


def main() -> int:
    """Fuzz them one after the other; the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31) + 1)
    arguments = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error("atheris is not installed: make .venv/benchmarks")
    from tests.fuzz.targets import TARGETS

    print(f"seed {arguments.seed}")
    failed = []
    for name, (_, share) in TARGETS.items():
        inputs = max(1, round(arguments.inputs * share))
        begin = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz.target", name, str(inputs), str(arguments.seed)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seconds = time.monotonic() - begin
        print(f"{name:12} {inputs:>10,} inputs {seconds:7.1f} s  {'failed' if ended.returncode else 'ok'}")
        if ended.returncode:
            failed.append(name)
            print(ended.stdout[-4000:])
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
