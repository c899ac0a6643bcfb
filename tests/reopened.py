"""Builds with one hole reopened each: to show that the tests and the checker find it.

A patch is applied to this process before anything is built. `tests/conftest.py` applies the one that
TEST_REOPENED names, the robustness servers those in TEST_PATCHES. Each fails loudly when what it
patches is not there any more.
"""

import importlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

Patch = Callable[[], None]


def replace_everywhere(module_name: str, name: str, replace: Callable[[Any], Any]) -> None:
    """Put `replace(original)` in place of a function, also where it was imported by name already."""
    original = getattr(importlib.import_module(module_name), name)
    replacement = replace(original)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("nightlatch") and getattr(module, name, None) is original:
            setattr(module, name, replacement)


def replace_method(owner: type, name: str, method: Any) -> None:
    """Put a method in place of one that is there."""
    if not hasattr(owner, name):
        raise RuntimeError(f"{owner.__name__}.{name} is not there any more: the patch would do nothing")
    setattr(owner, name, method)


def _lease() -> Any:
    from nightlatch.fresh.lease import Lease

    return Lease


def _shared_file() -> Any:
    from nightlatch.fresh.shared_file import SharedFile

    return SharedFile


def _table() -> Any:
    from nightlatch.hot.table import Table

    return Table


def revoker_does_not_wait() -> None:
    """PostgreSQL: a revocation is acknowledged at its commit, while leases elsewhere go on."""

    async def return_at_once(_: Any) -> None:
        pass

    replace_method(_lease(), "wait_in_force", return_at_once)


def lease_never_ends() -> None:
    """PostgreSQL: memory is trusted for ever after the first read (H5, H7)."""
    replace_method(
        _lease(),
        "database_seconds_nowait",
        lambda self: self._elapsed() + self._offset if self._until else None,
    )


def lease_counts_from_the_answer() -> None:
    """PostgreSQL: t0 is taken when the read's rows arrive."""
    trust = _lease()._trust
    replace_method(_lease(), "_trust", lambda self, _, ended, feed: trust(self, ended, ended, feed))


def trusted_before_applied() -> None:
    """PostgreSQL: the lease is extended, then the changes are applied (H1)."""
    trust = _lease()._trust

    def trust_first(self: Any, begun: float, ended: float, feed: Any) -> None:
        self._until = begun + feed.snapshot.lease_seconds
        trust(self, begun, ended, feed)

    replace_method(_lease(), "_trust", trust_first)


def wait_without_a_tenth() -> None:
    """PostgreSQL: the revoker takes it that all clocks run alike (H6)."""
    importlib.import_module("nightlatch.fresh.lease").CLOCK_RATE_FACTOR = 1.0  # type: ignore[attr-defined]
    importlib.import_module("nightlatch.fresh.lease").MARGIN_SECONDS = 0.0  # type: ignore[attr-defined]


def refusals_do_not_wait() -> None:
    """A token found gone is told so at once (H15)."""

    def without(_: Any) -> Any:
        @asynccontextmanager
        async def ending_tokens(services: Any) -> AsyncIterator[Any]:
            async with services.store.write() as connection:
                yield connection
            await services.currency.wait_in_force()

        return ending_tokens

    _import_usecases()
    replace_everywhere("nightlatch.usecases.end_tokens", "ending_tokens", without)


def wait_holds_a_connection() -> None:
    """The wait is inside the transaction's connection (H26)."""

    def inside(_: Any) -> Any:
        @asynccontextmanager
        async def ending_tokens(services: Any) -> AsyncIterator[Any]:
            async with services.store.read(), services.store.write() as connection:
                yield connection
                await connection.commit()
                await services.currency.wait_in_force()

        return ending_tokens

    _import_usecases()
    replace_everywhere("nightlatch.usecases.end_tokens", "ending_tokens", inside)


def _import_usecases() -> None:
    for name in ("close_organization", "disable_user", "log_out", "remove_member", "revoke_token"):
        importlib.import_module(f"nightlatch.usecases.{name}")
    for name in ("revoke_tokens", "set_password"):
        importlib.import_module(f"nightlatch.usecases.{name}")


def forks_go_on() -> None:
    """A process forked off keeps its trust (H7)."""
    for owner in (_lease(), _shared_file()):
        replace_method(owner, "_forget", lambda self: None)


def fills_are_not_checked() -> None:
    """A standing that was read before the token's end is kept after it (H9, H13)."""
    replace_method(_table(), "is_usable", lambda *_: True)


def gaps_are_ignored() -> None:
    """Changes are applied whatever their numbers and kinds (H18, H19, H34)."""

    def apply(self: Any, snapshot: Any, changes: Any) -> None:
        for change in changes:
            if change.digest is not None:
                self._drop(change.number, change.digest)
        self.applied, self.epoch = snapshot.number, snapshot.epoch

    replace_method(_table(), "apply", apply)


def lapses_forget() -> None:
    """PostgreSQL: a lapsed lease clears memory (H20)."""
    trust = _lease()._trust

    def clear_after_a_lapse(self: Any, begun: float, ended: float, feed: Any) -> None:
        lapsed = self.database_seconds_nowait() is None
        trust(self, begun, ended, feed)
        if lapsed:
            self._table.start_over(feed.snapshot)

    replace_method(_lease(), "_trust", clear_after_a_lapse)


def file_is_not_asked() -> None:
    """SQLite: memory is taken for current once it has been (H22)."""
    replace_method(
        _shared_file(), "database_seconds_nowait", lambda self: None if self._seen is None else self._wall()
    )


def header_after_the_rows() -> None:
    """SQLite: what was committed while the changes were read counts as seen (H22)."""

    def catch_up(self: Any) -> None:
        read = self._opened_feed().read(self._table.applied)
        self._table.apply(read.snapshot, read.changes)
        self._seen = self._header()

    replace_method(_shared_file(), "_catch_up", catch_up)


def replaced_file_goes_unnoticed() -> None:
    """SQLite: nobody looks whether the file is still the same (H22)."""
    replace_method(_shared_file(), "_check_file", lambda self: None)


def torn_headers_count() -> None:
    """SQLite: a header in the middle of a commit counts as seen (H23)."""
    importlib.import_module("nightlatch.fresh.shared_file").is_whole = lambda _: True  # type: ignore[attr-defined]


def network_file_systems_are_taken() -> None:
    """SQLite: the file may be anywhere (H24)."""
    importlib.import_module("nightlatch.store.engine").check_local = lambda _: None  # type: ignore[attr-defined]


def idle_transactions_go_on() -> None:
    """PostgreSQL: a stopped process holds its locks for as long as it is stopped (H25)."""
    del importlib.import_module("nightlatch.store.engine")._POSTGRESQL_SESSION[
        "idle_in_transaction_session_timeout"
    ]


def entries_do_not_age() -> None:
    """What memory holds is believed without end, past its expiry too (H29, H31)."""
    from nightlatch.hot.known import Known

    begin = Known.__init__

    def endless(self: Any, standing: Any, used: Any, read_seconds: float) -> None:
        begin(self, standing, used, read_seconds)
        self.until = float("inf")

    replace_method(Known, "__init__", endless)


def lease_is_lowered_at_once() -> None:
    """PostgreSQL: feeds and revocations take a lower lease in one step (H41)."""

    def both(set_lease: Any) -> Any:
        async def set_both(connection: Any, lease: Any, *event: Any) -> None:
            await set_lease(connection, type(lease)(lease.milliseconds, lease.milliseconds), *event)

        return set_both

    importlib.import_module("nightlatch.usecases.change_lease")
    replace_everywhere("nightlatch.store.leases", "set_lease", both)


def strict_mode_remembers() -> None:
    """PostgreSQL: lease 0 is taken for any other (H12)."""
    replace_method(_lease(), "strict", property(lambda self: False))


REOPENED: dict[str, tuple[Patch, str, str]] = {
    "H1": (trusted_before_applied, "h1_the_lease", "postgresql-18"),
    "H1, t0": (lease_counts_from_the_answer, "h1_the_lease", "postgresql-18"),
    "H5, H7": (lease_never_ends, "h5_h7", "postgresql-18"),
    "H6": (wait_without_a_tenth, "h6_h15", "postgresql-18"),
    "H7, fork": (forks_go_on, "h7_a_process", "sqlite"),
    "H9": (fills_are_not_checked, "h9_a_read_from_before_the_change_neither", "sqlite"),
    "H12": (strict_mode_remembers, "h12", "postgresql-18"),
    "H13": (fills_are_not_checked, "h13", "sqlite"),
    "H15": (refusals_do_not_wait, "h6_h15", "postgresql-18"),
    "H18, H19, H34": (gaps_are_ignored, "h18_h19_h34", "sqlite"),
    "H20": (lapses_forget, "h20_a_lapsed", "postgresql-18"),
    "H22, file": (file_is_not_asked, "h22_commits", "sqlite"),
    "H22, order": (header_after_the_rows, "h22_a_commit_between", "sqlite"),
    "H22, replaced": (replaced_file_goes_unnoticed, "h22_a_file_put", "sqlite"),
    "H23": (torn_headers_count, "h23", "sqlite"),
    "H24": (network_file_systems_are_taken, "h24_the_refusal", "sqlite"),
    "H25": (idle_transactions_go_on, "h25", "postgresql-18"),
    "H26": (wait_holds_a_connection, "h26", "postgresql-18"),
    "H29": (entries_do_not_age, "h29_rv8", "sqlite"),
    "H31": (entries_do_not_age, "h31", "sqlite"),
    "H41": (lease_is_lowered_at_once, "h41_the_lease_is_raised", "postgresql-18"),
}
"""A hole, the patch that reopens it, the words that select its test, and a database to run it on."""
