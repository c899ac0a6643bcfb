"""The machine: which core does what, and what a process costs.

What is measured runs on SERVER_CORE alone; the load, the databases and the bench itself run on
LOAD_CORE, so that neither takes time from the other.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CORES: Final = frozenset(os.sched_getaffinity(0))
SERVER_CORE: Final = frozenset({min(CORES)})
LOAD_CORE: Final = frozenset({max(CORES)})


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Run the calling thread, and the processes that it starts in the block, on those cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, cores: Collection[int]) -> None:
    """Keep all threads of the process, and of the processes it has started, on those cores."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            os.sched_setaffinity(int(task.name), cores)
            children = (task / "children").read_text().split()
        except (ProcessLookupError, FileNotFoundError):
            continue  # it has ended meanwhile
        for child in children:
            pin(int(child), cores)


def resident_bytes(pid: int | str = "self") -> int:
    """Memory of the process that is in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no memory")


def cpu_seconds(pid: int) -> float:
    """Time that the (single-threaded) process has spent on a core, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
