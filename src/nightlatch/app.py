"""The composition root: builds everything from settings and hands it on."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nightlatch.clock import BootClock
from nightlatch.fresh.direct import DirectReads
from nightlatch.guard.passwords import Passwords
from nightlatch.hot.lookup import Lookup
from nightlatch.hot.uses import Uses
from nightlatch.settings import Settings
from nightlatch.store.engine import Engines, open_engines
from nightlatch.store.store import Store
from nightlatch.usecases.services import Services


@asynccontextmanager
async def opened_engines(settings: Settings) -> AsyncIterator[Engines]:
    """The database's engines, closed when the block ends."""
    engines = open_engines(settings.database_url.get_secret_value())
    try:
        yield engines
    finally:
        await engines.close()


@asynccontextmanager
async def built_services(settings: Settings, engines: Engines) -> AsyncIterator[Services]:
    """What use cases work with, on those engines; threads end when the block ends."""
    passwords = Passwords(
        memory_kib=settings.password_hash_memory_kib,
        time_cost=settings.password_hash_time_cost,
        parallelism=settings.password_hash_parallelism,
        threads=settings.password_hash_threads or max(1, len(os.sched_getaffinity(0)) // settings.workers),
        wait_seconds=settings.password_hash_wait_seconds,
    )
    store = Store(engines)
    try:
        yield Services(store, passwords, Lookup(store), DirectReads(), Uses(BootClock()))
    finally:
        passwords.close()
