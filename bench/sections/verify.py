"""Verify of a token that memory knows, to a bare server that answers the same headers.

One worker of each on one core, wrk on the other. What wrk asks them, and in which order, is the same.
"""

from typing import Any, Final

from bench.databases import Database, accounts_on
from bench.load import Answers, ask
from bench.options import Options
from bench.report import print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, check_same_headers, granian, nightlatch

CONNECTIONS: Final = (32, 128)


def measure(database: Database, options: Options) -> dict[str, Any]:
    """The ratio of their rates and of their p99, with few and many connections."""
    with accounts_on(database) as accounts:
        authorization = f"Token {accounts.log_in(accounts.add_person())}"
    result: dict[str, Any] = {}
    rows: list[Any] = []
    with granian("bench.baseline:bare_application", database.folder) as bare, nightlatch(database) as serving:
        check_same_headers(serving.port, bare, authorization)
        for connections in CONNECTIONS:

            def asked(port: int, seconds: int, connections: int = connections) -> Answers:
                url = f"http://127.0.0.1:{port}{VERIFY}"
                return ask(url, connections, seconds, [f"Authorization: {authorization}"])

            seen = measure_in_turn(
                {
                    "bare": lambda seconds: asked(bare, seconds),
                    "verify": lambda seconds: asked(serving.port, seconds),
                },
                options.rounds,
                options.seconds,
            )
            rows += seen.rows(f"{connections} connections, ")
            result[f"at_{connections}"] = {name: seen.summary(name) for name in seen.seen}
    print_table("Verify, token known, one worker on one core", Rounds.columns(), rows)
    return result
