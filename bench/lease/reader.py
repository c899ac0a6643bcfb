"""The lease by reading, as `nightlatch.fresh.lease` does it: each read commits the pulse with it."""

from typing import Final

from bench.lease.simulation import Setting, Trust
from nightlatch.fresh.lease import READ_SECONDS_MAX, RETRY_SECONDS

READ_MAX: Final = READ_SECONDS_MAX * 1000
RETRY: Final = RETRY_SECONDS * 1000


class Reader:
    """A process that reads; the durations are of its reads, until they are answered."""

    def __init__(self, setting: Setting, trust: Trust) -> None:
        self._setting = setting
        self._trust = trust
        self._begun = setting.first_begin()

    def start(self) -> float:
        """The first read."""
        return self._begun + self._setting.way()

    def arrive(self, arrival: float) -> float:
        """One read."""
        setting, begun = self._setting, self._begun
        ended = setting.database.commit(setting.database.execute(arrival)) + setting.way()
        if ended - begun > READ_MAX:
            ended = begun + READ_MAX
            self._begun = ended + RETRY * (0.5 + setting.chance.random())
        else:
            self._trust.renew(ended, begun + setting.lease)
            self._begun = setting.next_begin(begun, ended)
        setting.durations.append(ended - begun)
        return self._begun + setting.way()
