"""What the lookup asks before it answers from memory. `fresh/` has one implementation per database."""

from typing import Protocol


class Currency(Protocol):
    """Whether memory is current, and what to do where it is not or must become so elsewhere."""

    def database_seconds_nowait(self) -> float | None:
        """The database's time in seconds since 1970, if memory may answer at this very moment.

        None: it may not, and nothing may be accepted from it.
        """
        ...

    @property
    def strict(self) -> bool:
        """Whether each request reads the database for itself, and memory answers nothing."""
        ...

    async def wait_current(self) -> None:
        """Return when memory may answer, or when each request has to read for itself (strict).

        Waits for a bounded time, then raises StoreUnavailable.
        """
        ...

    async def wait_confirmed(self) -> None:
        """Wait until what the database has said before cannot be taken back by a failover.

        Raises StoreUnavailable when that does not come in time.
        """
        ...

    async def wait_in_force(self) -> None:
        """Return when no process on any node can accept what was ended by a commit acknowledged before.

        To be called right after the commit. Raises StoreUnavailable when that cannot be known.
        """
        ...

    def check_heard(self) -> None:
        """Raise StoreUnavailable unless the database was heard from within the last second."""
        ...

    def age_seconds(self) -> float:
        """How old in seconds what memory was last compared with may be."""
        ...

    def lapsed_seconds(self) -> float:
        """For how many seconds in all memory could not answer though it had been able to before."""
        ...

    async def keep(self) -> None:
        """Keep memory current until cancelled."""
        ...

    def close(self) -> None:
        """Free what `keep` and the lookups opened; memory answers no more."""
        ...
