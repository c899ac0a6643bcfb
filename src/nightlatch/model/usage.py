"""How much was used on each of the last days, as charts show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from nightlatch.model.names import TokenId

DAYS: Final = 30
"""How many days are shown, today (UTC, by the database's clock) the last of them."""


@dataclass(frozen=True, slots=True)
class Usage:
    """An organization's usage, or one member's part of it: one number for each of DAYS days, the oldest first.

    `per_token` holds, for every token that was asked for, how often it was accepted. `verifications` is
    the sum over all tokens, those that have ended meanwhile included. `logins` and `refusals` are of the
    audit log: what was pruned from there counts no more.
    """

    first_day: date
    per_token: Mapping[TokenId, tuple[int, ...]]
    verifications: tuple[int, ...]
    logins: tuple[int, ...]
    refusals: tuple[int, ...]
