"""What ten million stored tokens cost, to a thousand: a verify hit, and a miss.

The servers remember one token only, so that a request with one token again and again hits, and with
others in turn never does. The tables are in the machine's page cache as far as it goes.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from bench.databases import Database, new_database
from bench.fill import add_tokens, write_headers
from bench.load import ask
from bench.options import Options
from bench.report import print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, nightlatch

CONNECTIONS: Final = 32
FEW: Final = 1_000
SAMPLE: Final = 50_000


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Ratios of the large table to the small one; `ratio` of a rate, and of p99."""
    begin = time.monotonic()
    many_tokens = add_tokens(database, options.tokens, SAMPLE)
    print(f"\n{options.tokens:,} tokens stored in {time.monotonic() - begin:.0f} s", flush=True)
    with new_database(database.kind) as small:
        few_tokens = add_tokens(small, FEW, FEW)
        few = write_headers(few_tokens, small.folder / "live")
        many = write_headers(many_tokens, database.folder / "live")
        with (
            nightlatch(small, known_tokens_max=1) as of_small,
            nightlatch(database, known_tokens_max=1) as of_large,
        ):
            small_url, large_url = (f"http://127.0.0.1:{of.port}{VERIFY}" for of in (of_small, of_large))
            small_name, large_name = f"{FEW:,} stored", f"{options.tokens:,} stored"
            small_header, large_header = (
                [f"Authorization: Token {tokens[0]}"] for tokens in (few_tokens, many_tokens)
            )
            kinds: Mapping[str, Rounds] = {
                "hit": measure_in_turn(
                    {
                        small_name: lambda seconds: ask(small_url, CONNECTIONS, seconds, small_header),
                        large_name: lambda seconds: ask(large_url, CONNECTIONS, seconds, large_header),
                    },
                    options.rounds,
                    options.seconds,
                ),
                "miss": measure_in_turn(
                    {
                        small_name: lambda seconds: ask(small_url, CONNECTIONS, seconds, tokens=few),
                        large_name: lambda seconds: ask(large_url, CONNECTIONS, seconds, tokens=many),
                    },
                    options.rounds,
                    options.seconds,
                ),
            }
    rows = [row for kind, seen in kinds.items() for row in seen.rows(f"{kind}, ")]
    print_table(f"Verify at {CONNECTIONS} connections, by tokens stored", Rounds.columns(), rows)
    return {
        "tokens": options.tokens,
        **{kind: {name: seen.summary(name) for name in seen.seen} for kind, seen in kinds.items()},
    }
