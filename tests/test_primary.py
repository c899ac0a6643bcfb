"""Which of the servers that a database URL names is talked to."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from nightlatch.counts import Counts
from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.engine import open_engines
from nightlatch.store.primary import split_hosts
from nightlatch.store.pulse import confirm_primary
from nightlatch.store.store import Store
from tests.postgresql import free_port
from tests.replication import ReplicatedPair

slow = pytest.mark.slow


@pytest.fixture
def pair() -> Iterator[ReplicatedPair]:
    with ReplicatedPair() as made:
        yield made


def port_reached(url: str) -> int:
    """That of the server which a connection is made to."""

    async def reach() -> int:
        engines = open_engines(url)
        connection = await engines.connect()
        try:
            port: int = await connection.fetchval("SELECT inet_server_port()")
            return port
        finally:
            connection.terminate()

    return asyncio.run(reach())


async def confirm(url: str) -> None:
    engines = open_engines(url)
    try:
        async with Store(engines, Counts()).read() as connection:
            await confirm_primary(connection)
    finally:
        await engines.close()


def test_each_host_of_a_url_keeps_everything_else() -> None:
    assert split_hosts("postgresql://me:p%40ss@one:1,two:2/base?sslmode=require") == [
        "postgresql://me:p%40ss@one:1/base?sslmode=require",
        "postgresql://me:p%40ss@two:2/base?sslmode=require",
    ]
    assert split_hosts("postgresql:///base?host=/run/postgresql") == [
        "postgresql:///base?host=/run/postgresql"
    ]


@slow
def test_of_several_servers_the_primary_is_found_and_after_a_failover_the_new_one(
    pair: ReplicatedPair,
) -> None:
    first, second = pair.primary.port, pair.standby.port
    for ports in ((first, second), (second, first), (free_port(), first)):
        assert port_reached(pair.url(*ports)) == first
    pair.cut_link()
    pair.promote()
    # The deposed one takes connections as before.
    assert port_reached(pair.url(first)) == first
    for ports in ((first, second), (second, first)):
        assert port_reached(pair.url(*ports)) == second
    pair.standby.pause()
    begin = time.monotonic()
    assert port_reached(pair.url(first, second)) == second
    assert time.monotonic() - begin < 1.5
    pair.standby.resume()


@slow
def test_where_no_server_takes_writes_the_database_is_unavailable(pair: ReplicatedPair) -> None:
    for ports in ((pair.standby.port,), (pair.standby.port, free_port())):
        with pytest.raises(StoreUnavailable):
            asyncio.run(confirm(pair.url(*ports)))


@slow
def test_h28_what_the_standby_has_not_confirmed_counts_for_nothing_whatever_the_role_was_set_to(
    pair: ReplicatedPair,
) -> None:
    pair.primary.query("CREATE ROLE hushed LOGIN")
    pair.primary.query("ALTER ROLE hushed SET client_min_messages = error")
    pair.primary.query("ALTER ROLE hushed SET synchronous_commit = off")
    url = pair.url(pair.primary.port).replace("postgres@", "hushed@")
    asyncio.run(confirm(url))
    pair.standby.pause()
    for function, reason in (("pg_cancel_backend", "canceling wait"), ("pg_terminate_backend", "Connection")):

        async def cut_off(function: str = function) -> None:
            waiting = asyncio.create_task(confirm(url))
            query = f"SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            while not await asyncio.to_thread(pair.primary.query, query):
                assert not waiting.done()
            await waiting

        with pytest.raises(StoreUnavailable) as raised:
            asyncio.run(cut_off())
        assert reason in raised.value.detail
    pair.standby.resume()
    asyncio.run(confirm(url))
