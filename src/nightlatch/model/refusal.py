"""Logins that were refused, counted: what they have in common, and how many there were."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from nightlatch.model.event import EventKind
from nightlatch.model.names import OrganizationId, UserId
from nightlatch.model.origin import Origin


@dataclass(frozen=True, slots=True)
class Refusal:
    """What refused logins that are counted together have in common.

    `username` is in the form in which users are looked up, and shows in no repr: people type
    passwords there. It is None where it cannot be anybody's, `organization_id` likewise; `network` as
    `client_network` writes it.
    """

    kind: EventKind
    reason: str
    username: str | None = field(repr=False)
    organization_id: str | None = field(repr=False)
    network: str = ""

    @property
    def name(self) -> "Name":
        """Whom it named."""
        return Name(self.username, self.organization_id)


@dataclass(frozen=True, slots=True)
class Name:
    """What somebody who was refused called themselves, as in Refusal."""

    username: str | None = field(repr=False)
    organization_id: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Whom:
    """Which organization and which of its users that is; None each if there is none."""

    organization_id: OrganizationId | None
    user_id: UserId | None


@dataclass(frozen=True, slots=True)
class CountedRefusals:
    """Like refusals since the last flush, and where the first of them came from."""

    refusal: Refusal
    first: Origin
    count: int


@dataclass(frozen=True, slots=True)
class CountedRow:
    """What refusals that are counted in one row of the audit log have in common."""

    kind: EventKind
    reason: str
    organization_id: OrganizationId | None
    user_id: UserId | None
    address: str | None


@dataclass(frozen=True, slots=True)
class CountedMinute:
    """The rows of a minute by the database's clock, with their ids, up to the last one.

    `epoch` is the history that the database is in: in another one an id may be another event's.
    """

    begin: datetime
    epoch: str | None
    last_id: int
    rows: Mapping[CountedRow, int]

    def is_same_as(self, other: "CountedMinute") -> bool:
        """Whether what is known of the one holds for the other."""
        return (self.begin, self.epoch) == (other.begin, other.epoch)


NOTHING_COUNTED: Final = CountedMinute(datetime.min.replace(tzinfo=UTC), None, 0, {})
