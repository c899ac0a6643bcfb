"""A client process: many connections to every node, over which it verifies, logs in and ends tokens.

Run as `python -m tests.robustness.clients`, with a plan on the first line of standard input. It
writes how many records it has to standard output, twice a second. `stop` on standard input ends the
traffic (it says `stopped`); `sweep` has it verify once more on each node what it knows, and end. It
also ends when its standard input is closed.

Clients tell each other over datagrams which tokens there are, so that each verifies tokens of all; and
which have just ended, so that at that moment all of them try those on all nodes.
"""

import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from tests.accounts import Accounts
from tests.robustness.history import OPEN_OUTCOMES, SECOND, HistoryWriter, now
from tests.robustness.tenants import CHOICES, Keepers
from tests.robustness.traffic import Caller, Lane, Pool, Token
from tests.robustness.wire import REPLY_SECONDS_MAX

VERIFIERS_PER_NODE = 2
KEEPER_LANES_PER_NODE = 3
BURST_NANOSECONDS = 50_000_000
BURST_VERIFIES_MAX = 6
ENDED_TOLD_MAX = 3
PROGRESS_SECONDS = 0.5
UNANSWERED_MAX = 10


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """What a client process is to do."""

    number: int
    clients: int
    seed: int
    database_url: str
    ports: dict[str, int]
    """Of servers."""
    verifier_ports: dict[str, int]
    """Of services with a verifier, which answer verify only."""
    folder: str
    tenants: int
    settle_seconds: float
    keepers_per_tenant: int = 2
    burst_lanes_per_node: int = 2
    choices: dict[str, int] = field(default_factory=lambda: dict(CHOICES))
    """What keepers do, by how often."""
    pause_seconds: float = 0.0
    """Between two verifies on a connection, apart from those of a burst."""

    @property
    def history(self) -> Path:
        """Where its records go."""
        return Path(self.folder) / f"client{self.number}.history"

    def socket_of(self, number: int) -> str:
        """Where a client hears from its peers."""
        return f"{self.folder}/client{number}.socket"


@dataclass(frozen=True, slots=True)
class _Burst:
    """Tokens to try at once on every node, until it is too late to tell anything."""

    tokens: list[Token]
    until: int


class _Client:
    def __init__(self, plan: ClientPlan, accounts: Accounts) -> None:
        self.plan = plan
        self.chance = random.Random(f"{plan.seed}-{plan.number}")
        self.writer = HistoryWriter(plan.history, plan.number)
        self.pool = Pool()
        self.caller = Caller(self.writer, self.pool)
        self.lanes: list[Lane] = []
        self.bursts: list[asyncio.Queue[_Burst]] = []
        self.running = True
        self.keepers = Keepers(
            accounts,
            self.caller,
            self._new_lanes(KEEPER_LANES_PER_NODE, plan.ports),
            self.chance,
            plan.settle_seconds,
            self._made,
            self._ended,
            plan.choices,
        )
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(plan.socket_of(plan.number))

    def _new_lanes(self, per_node: int, ports: dict[str, int]) -> list[Lane]:
        made = [Lane(node, port, self.writer) for node, port in ports.items() for _ in range(per_node)]
        self.lanes += made
        return made

    # --- what the keepers tell, and what peers tell

    def _made(self, token: Token) -> None:
        self.pool.add(token)
        self._burst([token])
        self._tell({"made": [token.id, token.text, token.organization, token.user]})

    def _ended(self, tokens: list[Token], process: int, end: int) -> None:
        for token in tokens:
            self.pool.bury(token)
        chosen = tokens if len(tokens) <= ENDED_TOLD_MAX else self.chance.sample(tokens, ENDED_TOLD_MAX)
        self._burst(chosen, end)
        self._tell({"ended": [token.id for token in chosen], "end": end})

    def _burst(self, tokens: list[Token], since: int | None = None) -> None:
        if tokens:
            burst = _Burst(tokens, (since or now()) + BURST_NANOSECONDS)
            for queue in self.bursts:
                queue.put_nowait(burst)

    def _tell(self, message: dict[str, Any]) -> None:
        for number in range(self.plan.clients):
            if number != self.plan.number:
                # A peer that does not listen, or cannot keep up, misses it.
                with contextlib.suppress(OSError):
                    self._socket.sendto(json.dumps(message).encode(), self.plan.socket_of(number))

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                message = json.loads(self._socket.recv(65536))
                if "made" in message:
                    token_id, text, organization, user = message["made"]
                    self.pool.add(Token(token_id, text, organization, user))
                    continue
                tokens = [token for token in map(self.pool.find, message["ended"]) if token is not None]
                for token in tokens:
                    self.pool.bury(token)
                self._burst(tokens, message["end"])

    # --- traffic

    async def _verifying(self, lane: Lane) -> None:
        while self.running:
            token = self.pool.choose(self.chance)
            if token is None:
                await asyncio.sleep(0.05)
            else:
                await self.caller.verify(lane, token)
                if self.plan.pause_seconds:
                    await asyncio.sleep(self.plan.pause_seconds)

    async def _bursting(self, lane: Lane, queue: "asyncio.Queue[_Burst]") -> None:
        while self.running:
            burst = await queue.get()
            for turn in range(BURST_VERIFIES_MAX):
                if now() > burst.until:
                    break
                await self.caller.verify(lane, burst.tokens[turn % len(burst.tokens)])
            control = self.pool.choose(self.chance, dead_share=0)
            if control is not None and now() < burst.until:
                await self.caller.verify(lane, control)

    async def _watching(self) -> None:
        """Give up what takes too long, and tell how far this client is."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            _say(str(self.writer.written))
            for lane in self.lanes:
                if (
                    lane.connection is not None
                    and 0 < lane.connection.since < now() - REPLY_SECONDS_MAX * SECOND
                ):
                    lane.connection.abort()

    async def run(self, stop: asyncio.Event, sweep: asyncio.Event) -> None:
        """Traffic until `stop`, then the last round after `sweep`."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(16))
        loop.add_reader(self._socket, self._hear)
        every_port = self.plan.ports | self.plan.verifier_ports
        await self.keepers.open_tenants(self.plan.tenants)
        work: list[Coroutine[Any, Any, None]] = [
            self._verifying(lane) for lane in self._new_lanes(VERIFIERS_PER_NODE, every_port)
        ]
        for lane in self._new_lanes(self.plan.burst_lanes_per_node, every_port):
            queue: asyncio.Queue[_Burst] = asyncio.Queue()
            self.bursts.append(queue)
            work.append(self._bursting(lane, queue))
        for place in range(self.plan.tenants):
            work += [self.keepers.keep(place) for _ in range(self.plan.keepers_per_tenant)]
        tasks = [asyncio.create_task(one) for one in work]
        watching = asyncio.create_task(self._watching())
        stopping = asyncio.create_task(stop.wait())
        # A task that ends before it was told to has failed: its error ends the client.
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self.running = self.keepers.running = False
        self._burst(self.pool.all()[:1])  # wakes those that wait for one
        await asyncio.gather(*tasks)
        _say("stopped")
        await sweep.wait()
        await asyncio.gather(*(self._sweep(lane) for lane in self._new_lanes(1, every_port)))
        watching.cancel()
        for lane in self.lanes:
            lane.close()
        loop.remove_reader(self._socket)
        self._socket.close()
        self.writer.close()

    async def _sweep(self, lane: Lane) -> None:
        unanswered = 0
        for token in self.pool.all():
            call = await self.caller.verify(lane, token)
            unanswered += call is None or call.outcome in OPEN_OUTCOMES
            if unanswered > UNANSWERED_MAX:
                break  # it is on record that this node did not recover


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run(plan: ClientPlan, accounts: Accounts) -> None:
    stop, sweep = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            event = {"stop": stop, "sweep": sweep}[line.strip()]
            loop.call_soon_threadsafe(event.set)
        # Whoever started this process has gone.
        loop.call_soon_threadsafe(task.cancel)

    client = _Client(plan, accounts)
    task = asyncio.create_task(client.run(stop, sweep))
    threading.Thread(target=listen, daemon=True).start()
    await task


class ClientProcess:
    """A running client, seen from the process that started it."""

    def __init__(self, plan: ClientPlan) -> None:
        self.plan = plan
        self.records = 0
        self.stopped = threading.Event()
        self._log = (Path(plan.folder) / f"client{plan.number}.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.clients"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        self.command(json.dumps(asdict(plan)))

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "stopped\n":
                self.stopped.set()
            else:
                self.records = int(line)
        self.stopped.set()

    def command(self, line: str) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself, as it does when something is wrong with it."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Return when it has ended. Raises RuntimeError, with its log, if it failed."""
        code = self._process.wait(seconds)
        self.end()
        if code != 0:
            log = Path(self._log.name).read_text()
            raise RuntimeError(f"client {self.plan.number} ended with {code}:\n{log[-4000:]}")

    def end(self) -> None:
        """End it now, if it runs."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def main() -> None:
    """Be a client."""
    plan = ClientPlan(**json.loads(sys.stdin.readline()))
    accounts = Accounts(plan.database_url)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(plan, accounts))
    accounts.close()


if __name__ == "__main__":
    main()
