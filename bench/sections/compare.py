"""What else could say who a request is from, to the same bare server: a JWT check, a Redis lookup."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.postgresql import free_port

from bench.databases import Database
from bench.load import Answers, ask
from bench.machine import LOAD_CORE, on_cores
from bench.options import Options
from bench.report import print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, check_same_headers, granian

CONNECTIONS: Final = 32


@contextmanager
def _redis(folder: Path) -> Iterator[int]:
    from redis import Redis
    from redis.exceptions import ConnectionError as RedisConnectionError

    from bench.rivals.redis_lookup import TOKEN

    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with on_cores(LOAD_CORE), (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        with Redis(host="127.0.0.1", port=port) as client:
            while True:
                try:
                    client.set(sha256(TOKEN.encode()).digest(), "auhf2k owner 0123456789ab@example.com")
                    break
                except RedisConnectionError:
                    if process.poll() is not None:
                        raise SystemExit("redis-server did not start") from None
                    time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(15)


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Their rates to the bare server's."""
    if find_spec("jwt") is None or find_spec("redis") is None:
        raise SystemExit("PyJWT and redis are missing: `make bench` installs them")
    if shutil.which("redis-server") is None:
        raise SystemExit("make bench needs redis-server: apt install redis-server")
    from bench.rivals import jwt_check, redis_lookup

    folder = database.folder
    with (
        _redis(folder) as redis_port,
        granian("bench.baseline:bare_application", folder) as bare,
        granian("bench.rivals.jwt_check:application", folder) as signed,
        granian(
            "bench.rivals.redis_lookup:application",
            folder,
            environment={redis_lookup.PORT_VARIABLE: str(redis_port)},
        ) as looked_up,
    ):
        bearer, token = jwt_check.header(), f"Token {redis_lookup.TOKEN}"
        check_same_headers(bare, signed, bearer)
        check_same_headers(bare, looked_up, token)

        def asked(port: int, authorization: str, seconds: int) -> Answers:
            url = f"http://127.0.0.1:{port}{VERIFY}"
            return ask(url, CONNECTIONS, seconds, [f"Authorization: {authorization}"])

        seen = measure_in_turn(
            {
                "bare": lambda seconds: asked(bare, token, seconds),
                "JWT, HS256": lambda seconds: asked(signed, bearer, seconds),
                "Redis": lambda seconds: asked(looked_up, token, seconds),
            },
            options.rounds,
            options.seconds,
        )
    print_table(f"Others at {CONNECTIONS} connections, one worker on one core", Rounds.columns(), seen.rows())
    return {name: seen.summary(name) for name in seen.seen}
