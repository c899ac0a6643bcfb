"""What use cases work with; built once, by the composition root."""

from dataclasses import dataclass

from nightlatch.counts import Counts
from nightlatch.fresh.fills import Fills
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
from nightlatch.store.schema_watch import SchemaWatch
from nightlatch.store.store import Store


@dataclass(frozen=True, slots=True)
class Memory:
    """All that answering for tokens takes: what a verifier has as well."""

    store: Store
    table: Table
    lookup: Lookup
    currency: Currency
    fills: Fills
    uses: Uses
    counts: Counts


@dataclass(frozen=True, slots=True)
class Services(Memory):
    """Handed to every use case."""

    passwords: Passwords
    password_rules: PasswordRules
    schema: SchemaWatch
    throttle: Throttle
    used_up: UsedUp
    refusals: Refusals
    session_limits: SessionLimits
    owners_may_change: frozenset[str]
    """Of an organization, by the names of its fields."""
