"""Load: logins from a small client of our own, requests from wrk."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence

from tests.accounts import Person


def requests_per_second(url: str, connections: int, seconds: int, headers: Sequence[str] = ()) -> float:
    """What wrk measures on one core's worth of load; raises if any answer was not a success."""
    if shutil.which("wrk") is None:
        raise SystemExit("make bench needs wrk: apt install wrk")
    flags = [flag for header in headers for flag in ("-H", header)]
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", *flags, url],
        capture_output=True,
        text=True,
        check=True,
    )
    if "Non-2xx" in run.stdout:
        raise SystemExit(f"{url}: {run.stdout}")
    match = re.search(r"Requests/sec:\s+([0-9.]+)", run.stdout)
    if match is None:
        raise SystemExit(f"{url}: {run.stdout}")
    return float(match[1])


def logins_per_second(port: int, people: Sequence[Person], concurrent: int, seconds: float) -> float:
    """Successful logins in a second, by so many clients at once, each on one connection."""
    return asyncio.run(_log_in_for(port, people, concurrent, seconds))


async def _log_in_for(port: int, people: Sequence[Person], concurrent: int, seconds: float) -> float:
    bodies = iter([json.dumps(person.login_body).encode() for person in people for _ in range(20)])
    end = time.perf_counter() + seconds

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < end:
            body = next(bodies)
            writer.write(
                b"POST /api/auth/login/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"a login failed: {head!r}")
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            done += 1
        writer.close()
        return done

    begin = time.perf_counter()
    total = sum(await asyncio.gather(*(client() for _ in range(concurrent))))
    return total / (time.perf_counter() - begin)
