"""Verify beside 10,000 idle, 2,000 slow and 500 oversized connections; and when the server ends those."""

from typing import Any, Final

from bench.databases import Database, accounts_on
from bench.hostile import ended, hostile_connections
from bench.load import Answers, ask
from bench.options import Options
from bench.report import print_table
from bench.servers import VERIFY, nightlatch

CONNECTIONS: Final = 32


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Verify's rate before and meanwhile, how the hostile connections ended, whether a worker died."""
    with accounts_on(database) as accounts:
        header = f"Authorization: Token {accounts.log_in(accounts.add_person())}"
    with nightlatch(database) as serving:
        url = f"http://127.0.0.1:{serving.port}{VERIFY}"

        def verify() -> Answers:
            return ask(url, CONNECTIONS, options.seconds, [header])

        verify()
        workers = serving.worker_pids()
        quiet = verify()
        with hostile_connections(serving.port) as process:
            beside = verify()
            connections = ended(process)
        after = verify()
        same = serving.worker_pids() == workers
    print_table(
        "Verify beside hostile connections, one worker on one core",
        ["", "requests/s", "of quiet", "p99 ms"],
        [
            [name, round(seen.rate), round(seen.rate / quiet.rate, 2), seen.p99]
            for name, seen in (("quiet", quiet), ("meanwhile", beside), ("after", after))
        ],
    )
    print_table(
        f"Hostile connections; the worker {'lives' if same else 'DIED'}",
        ["", "opened", "ended by the server", "after s, most"],
        [[name, seen["opened"], seen["ended"], seen["seconds"]] for name, seen in connections.items()],
    )
    return {
        "quiet": quiet.rate,
        "beside": beside.rate,
        "ratio": round(beside.rate / quiet.rate, 3),
        "connections": connections,
        "worker_lives": same,
    }
