"""What use cases work with; built once, by the composition root."""

from dataclasses import dataclass

from nightlatch.fresh.fills import Fills
from nightlatch.guard.passwords import Passwords
from nightlatch.hot.currency import Currency
from nightlatch.hot.lookup import Lookup
from nightlatch.hot.uses import Uses
from nightlatch.store.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to every use case."""

    store: Store
    passwords: Passwords
    lookup: Lookup
    currency: Currency
    fills: Fills
    uses: Uses
