"""The composition root: builds everything from settings and hands it on."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

from nightlatch.clock import Clock, SystemClock
from nightlatch.counts import Counts
from nightlatch.fresh.fills import Fills
from nightlatch.fresh.lease import Lease
from nightlatch.fresh.shared_file import SharedFile
from nightlatch.guard.hash_share import HashShare
from nightlatch.guard.password_rules import PasswordRules
from nightlatch.guard.passwords import Passwords
from nightlatch.guard.throttle import Throttle
from nightlatch.guard.used_up import UsedUp
from nightlatch.hot.currency import Currency
from nightlatch.hot.lookup import Lookup
from nightlatch.hot.refusals import Refusals
from nightlatch.hot.table import Table
from nightlatch.hot.uses import Uses
from nightlatch.model.session import SessionLimits
from nightlatch.settings import Settings
from nightlatch.spans import NO_SPANS, Spans
from nightlatch.store.changes import PostgresqlFeed
from nightlatch.store.engine import Engines, open_engines
from nightlatch.store.schema_watch import SchemaWatch
from nightlatch.store.store import Store
from nightlatch.usecases.services import Memory, Services


@asynccontextmanager
async def opened_engines(settings: Settings) -> AsyncIterator[Engines]:
    """The database's engines, closed when the block ends."""
    engines = open_engines(settings.database_url.get_secret_value())
    try:
        yield engines
    finally:
        await engines.close()


@contextmanager
def built_memory(settings: Settings, engines: Engines, spans: Spans = NO_SPANS) -> Iterator[Memory]:
    """Memory on those engines, empty; it answers no more when the block ends."""
    counts = Counts()
    store = Store(engines, counts, spans)
    table = Table(settings.known_tokens_max)
    currency = _currency(engines, store, table, SystemClock(), counts, spans)
    uses = Uses()
    try:
        yield Memory(
            store=store,
            table=table,
            lookup=Lookup(table, currency, uses),
            currency=currency,
            fills=Fills(store, table, currency, uses),
            uses=uses,
            counts=counts,
        )
    finally:
        currency.close()


@asynccontextmanager
async def built_services(
    settings: Settings, engines: Engines, spans: Spans = NO_SPANS, folder: Path | None = None
) -> AsyncIterator[Services]:
    """What use cases work with, on those engines; threads end when the block ends.

    `folder` is what a server's processes have in common: in it strangers who guess share half of the cores.
    """
    share = None if folder is None else HashShare(folder, max(1, len(os.sched_getaffinity(0)) // 2))
    passwords = built_passwords(settings, spans, share)
    throttle = Throttle(
        account=settings.failed_logins_per_account,
        address=settings.failed_logins_per_address,
        logins=settings.logins_per_account,
        child_tokens=settings.child_tokens_per_user,
        processes=settings.workers,
        wait_seconds=settings.password_hash_wait_seconds,
    )
    used_up = UsedUp(SystemClock().elapsed_seconds)
    try:
        with built_memory(settings, engines, spans) as memory:
            yield Services(
                store=memory.store,
                table=memory.table,
                throttle=throttle,
                used_up=used_up,
                lookup=memory.lookup,
                currency=memory.currency,
                fills=memory.fills,
                uses=memory.uses,
                counts=memory.counts,
                passwords=passwords,
                refusals=Refusals(),
                password_rules=PasswordRules(settings.password_length_min),
                schema=SchemaWatch(memory.store),
                owners_may_change=frozenset(settings.owners_may_change),
                session_limits=SessionLimits(
                    idle=timedelta(minutes=settings.session_idle_minutes),
                    absolute=timedelta(hours=settings.session_hours),
                ),
            )
    finally:
        await used_up.close()
        passwords.close()
        if share is not None:
            await share.close()


def built_passwords(settings: Settings, spans: Spans = NO_SPANS, share: HashShare | None = None) -> Passwords:
    """Hashing as the settings have it; whoever asked for it closes it."""
    return Passwords(
        memory_kib=settings.password_hash_memory_kib,
        time_cost=settings.password_hash_time_cost,
        parallelism=settings.password_hash_parallelism,
        threads=hash_threads(settings),
        wait_seconds=settings.password_hash_wait_seconds,
        spans=spans,
        share=share,
    )


def hash_threads(settings: Settings) -> int:
    """How many hashes one process computes at once."""
    return settings.password_hash_threads or max(1, len(os.sched_getaffinity(0)) // settings.workers)


def _currency(
    engines: Engines, store: Store, table: Table, clock: Clock, counts: Counts, spans: Spans
) -> Currency:
    if engines.sqlite_file is not None:
        return SharedFile(engines.sqlite_file, table, clock)
    return Lease(store, PostgresqlFeed(engines.connect), table, clock, counts, spans)
