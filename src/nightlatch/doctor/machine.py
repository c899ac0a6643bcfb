"""Checks of this machine: what a hash takes, and how many files may be open."""

import resource
import time
from pathlib import Path
from typing import Final

from nightlatch.app import built_passwords, hash_threads
from nightlatch.doctor.finding import Finding, ok, problem, warning
from nightlatch.server import CONNECTIONS_MAX
from nightlatch.settings import Settings

HASH_SECONDS_MAX: Final = 1.0
OWASP_MINIMUM: Final = {1: 47104, 2: 19456, 3: 12288, 4: 9216, 5: 7168}
"""Argon2id: passes, and the KiB that they need at least (OWASP Password Storage Cheat Sheet)."""
FILES_BESIDE_CONNECTIONS: Final = 100
"""Roughly what a worker has open besides its clients."""


async def check_hash_time(settings: Settings) -> Finding:
    """A hash is dear enough to make guessing dear, and cheap enough to log in."""
    passwords = built_passwords(settings)
    try:
        seconds = []
        for _ in range(3):
            begun = time.perf_counter()
            await passwords.hash("a password of a common length")
            seconds.append(time.perf_counter() - begun)
    finally:
        passwords.close()
    memory, passes = settings.password_hash_memory_kib, settings.password_hash_time_cost
    found = f"{min(seconds) * 1000:.0f} ms for one ({memory} KiB, {passes} passes)"
    if memory < OWASP_MINIMUM[min(passes, max(OWASP_MINIMUM))]:
        return problem(
            "password hash",
            f"{found}: guessing is cheaper than OWASP allows",
            "Leave out password_hash_memory_kib and password_hash_time_cost, or raise them.",
        )
    if min(seconds) > HASH_SECONDS_MAX:
        return warning("password hash", found, "Each login takes this long: lower password_hash_time_cost.")
    return ok("password hash", found)


def check_hash_memory(settings: Settings) -> Finding:
    """All hashes that may be computed at once fit into memory."""
    at_once = hash_threads(settings) * settings.workers
    needed, available = at_once * settings.password_hash_memory_kib * 1024, available_memory()
    found = f"{at_once} at once take {_mib(needed)} of {_mib(available)} available"
    advice = "Lower password_hash_threads, or give the machine more memory."
    if needed > available:
        return problem("memory of hashes", found, advice)
    if needed > available // 2:
        return warning("memory of hashes", found, advice)
    return ok("memory of hashes", found)


def check_open_files() -> Finding:
    """As many clients may be connected as the server is ready to take."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS_MAX + FILES_BESIDE_CONNECTIONS
    found = f"{limit} in this shell"
    if limit != resource.RLIM_INFINITY and limit < needed:
        return warning(
            "open files",
            f"{found}: a worker can have about {max(0, limit - FILES_BESIDE_CONNECTIONS)} clients connected",
            f"Raise it for the server to {needed}: LimitNOFILE={needed} in its systemd unit, or ulimit -n.",
        )
    return ok("open files", found)


def available_memory() -> int:
    """Bytes that this process and its children could still take, as far as the system tells."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
    except OSError:
        return available
    return available if allowed == "max" else min(available, int(allowed))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.0f} MiB"
