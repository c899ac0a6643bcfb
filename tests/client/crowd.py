"""Many processes with many threads that use one token, and what happens to it in the middle."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightlatch_client import FileCache, RetryingClient, TokenAuth
from tests.client.services import Service

EVENTS: dict[str, tuple[Callable[[Service], None] | None, int]] = {}
"""What happens in the middle, and how many logins there are in all."""


@dataclass(frozen=True)
class Size:
    processes: int
    threads: int
    requests: int

    @property
    def total(self) -> int:
        return self.processes * self.threads * self.requests


@dataclass(frozen=True)
class Seen:
    """What came of a run: requests by outcome, logins, live tokens at the end, seconds."""

    outcomes: dict[str, int]
    logins: int
    live_tokens: int
    seconds: float


DOWN_SECONDS = 0.5
"""How long the service is away in its restart: the fault itself, which its clients have to sit out."""


def _restart(service: Service) -> None:
    service.stop()
    time.sleep(DOWN_SECONDS)  # the fault's own length: the crowd runs in processes that ask meanwhile
    service.start()


EVENTS |= {
    "nothing": (None, 1),
    "revoked": (lambda service: service.revoke_all(), 2),
    "expired": (lambda service: service.expire_all(), 2),
    "restarted": (_restart, 1),
}


def run_crowd(service: Service, event: str, size: Size, cache: Path) -> Seen:
    """Have everybody start at once, and the event happen when half of the requests are done."""
    happen, _ = EVENTS[event]
    order = {
        "url": service.url,
        "username": service.username,
        "password": service.password,
        "organization_id": service.organization_id,
        "cache": str(cache),
        "threads": size.threads,
        "requests": size.requests,
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.client.crowd"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(size.processes)
    ]
    done, half = 0, threading.Event()
    outcomes: Counter[str] = Counter()
    mutex = threading.Lock()

    def listen(worker: "subprocess.Popen[str]") -> None:
        nonlocal done
        assert worker.stdout is not None
        for line in worker.stdout:
            with mutex:
                if line == ".\n":
                    done += 1
                    if done == size.total // 2:
                        half.set()
                else:
                    outcomes.update(json.loads(line))
        half.set()  # or an early end would be waited for

    try:
        for number, worker in enumerate(workers):
            assert worker.stdin is not None
            worker.stdin.write(json.dumps({**order, "shared": number % 2 == 0}) + "\n")
            worker.stdin.flush()
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        listeners = [threading.Thread(target=listen, args=(worker,)) for worker in workers]
        for listener in listeners:
            listener.start()
        begin = time.monotonic()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.close()
        half.wait(600)
        if happen is not None:
            happen(service)
        for listener in listeners:
            listener.join()
        seconds = time.monotonic() - begin
        for worker in workers:
            worker.wait(60)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()
    return Seen(dict(outcomes), service.logins(), service.live_tokens(), seconds)


def _work() -> None:
    """One process of the crowd: reads its order, says that it is ready, and waits for the start."""
    order = json.loads(sys.stdin.readline())
    outcomes: Counter[str] = Counter()
    mutex = threading.Lock()

    def make_auth() -> TokenAuth:
        return TokenAuth(
            order["url"],
            order["username"],
            order["password"],
            order["organization_id"],
            cache=FileCache(order["cache"]),
        )

    # Half of the processes have one authentication for all threads, the others one for each.
    common = make_auth()

    def send_all(auth: TokenAuth) -> None:
        with RetryingClient(base_url=order["url"], auth=auth, patience=60) as client:
            start.wait()
            for _ in range(order["requests"]):
                try:
                    outcome = str(client.get("/api/v1/organizations/").status_code)
                except Exception as error:
                    outcome = f"{type(error).__name__}: {error}"
                with mutex:
                    outcomes[outcome] += 1
                    sys.stdout.write(".\n")
                    sys.stdout.flush()

    start = threading.Event()
    threads = [
        threading.Thread(target=send_all, args=(common if order["shared"] else make_auth(),))
        for _ in range(order["threads"])
    ]
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    start.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    _work()
