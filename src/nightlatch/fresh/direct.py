"""Currency without memory: each request reads the database, so what is committed is in force."""


class DirectReads:
    """Nothing is remembered anywhere, hence there is nothing to wait for."""

    async def wait_in_force(self) -> None:
        """Return when every process and node refuses what the last commit ended: at once."""
