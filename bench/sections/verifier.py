"""The verifier in an API's own process: what a call costs, and a sample API with and without it.

µs of `await verifier.verify(…)` for known tokens: the same one, and 5,000 in random order. Then requests
per second of the list of examples/assets on one worker: without authentication, with the verifier in
its process, and behind nginx that asks a server (all three of them on the one core).
"""

import asyncio
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.postgresql import free_port
from tests.test_sample_api import ASSETS, ROOT, nginx_configuration, running

from bench.alone import run_alone
from bench.databases import Database, accounts_on
from bench.known import settle
from bench.load import Answers, ask
from bench.machine import SERVER_CORE, on_cores
from bench.options import Options
from bench.report import median, print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import granian, nightlatch
from nightlatch.verifier import Verifier, open_verifier

TOKENS: Final = 5_000
"""More than the identities that a verifier keeps as objects."""
PEOPLE: Final = 50
BATCH: Final = 1_000
CONNECTIONS: Final = 32


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Microseconds, and the ratios of rates."""
    with accounts_on(database) as accounts:
        organization_id = accounts.add_person(token_limit=TOKENS).organization_id
        people = [accounts.add_person_to(organization_id) for _ in range(PEOPLE)]
        tokens = [accounts.log_in(people[number % PEOPLE]) for number in range(TOKENS)]
    times = run_alone(SERVER_CORE, _verifications, database.url, tokens, options.seconds)
    print_table(
        "One verification by the verifier, tokens known",
        ["", "µs, median", "µs, mean"],
        [[name, *values.values()] for name, values in times.items()],
    )
    seen = _sample_api(database, options, organization_id, tokens[0])
    print_table(f"List of the sample API, {CONNECTIONS} connections, one core", Rounds.columns(), seen.rows())
    return {"microseconds": times, "sample_api": {name: seen.summary(name) for name in seen.seen}}


def _verifications(url: str, tokens: Sequence[str], seconds: int) -> dict[str, dict[str, float]]:
    return asyncio.run(_verify_all(url, tokens, seconds))


async def _verify_all(url: str, tokens: Sequence[str], seconds: int) -> dict[str, dict[str, float]]:
    async with open_verifier(url) as verifier:
        headers = [f"Token {token}".encode() for token in tokens]
        random.Random(1).shuffle(headers)
        settle()
        return {
            "one token": await _verify(verifier, headers[:1] * BATCH, seconds),
            f"{TOKENS:,} tokens, random order": await _verify(verifier, headers, seconds),
        }


async def _verify(verifier: Verifier, headers: Sequence[bytes], seconds: int) -> dict[str, float]:
    verify = verifier.verify
    batches = [headers[first : first + BATCH] for first in range(0, len(headers), BATCH)]
    for header in headers:
        await verify(header, "192.0.2.1")
    each: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        batch = batches[len(each) % len(batches)]
        begin = time.perf_counter()
        for header in batch:
            await verify(header, "192.0.2.1")
        each.append((time.perf_counter() - begin) / len(batch) * 1e6)
        await asyncio.sleep(0)  # the feed is read in between, as in a service
    return {"median": median(each), "mean": round(sum(each) / len(each), 3)}


async def bare_api(scope: Any, receive: Any, send: Any) -> None:
    """The sample API, which lets everybody in."""
    await _bare_api()(scope, receive, send)


@cache
def _bare_api() -> Any:
    assets = import_module("assets")

    async def identify(request: Any) -> Any:
        return assets.Caller(request.path_params["organization_id"], "")

    return assets.build_api(identify)


def _sample_api(database: Database, options: Options, organization_id: str, token: str) -> Rounds:
    folder = database.folder
    environment = {"NIGHTLATCH_DATABASE_URL": database.url, "PYTHONPATH": f"{ROOT}:{ASSETS}"}
    with ExitStack() as stack:

        def serving(application: str) -> int:
            return stack.enter_context(granian(application, folder, environment=environment))

        served = {
            "bare": serving("bench.sections.verifier:bare_api"),
            "in process": serving("in_process:api"),
        }
        if shutil.which("nginx") is not None:
            server = stack.enter_context(nightlatch(database))
            behind = serving("behind_proxy:api")
            served["behind nginx"] = stack.enter_context(_nginx(folder, server.port, behind))
        path = f"/api/v1/{organization_id}/assets/"

        def asking(port: int) -> Any:
            def asked(seconds: int) -> Answers:
                url = f"http://127.0.0.1:{port}{path}"
                return ask(url, CONNECTIONS, seconds, [f"Authorization: Token {token}"])

            return asked

        return measure_in_turn(
            {name: asking(port) for name, port in served.items()}, options.rounds, options.seconds
        )


@contextmanager
def _nginx(folder: Path, server_port: int, api_port: int) -> Iterator[int]:
    own = folder / "nginx"
    own.mkdir()
    port = free_port()
    configuration = nginx_configuration(own, port, server_port, api_port)
    with on_cores(SERVER_CORE), running(["nginx", "-c", str(configuration)], port, own / "log", {}):
        yield port
