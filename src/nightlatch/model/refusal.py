"""Logins that were refused, counted: what they have in common, and how many there were."""

from dataclasses import dataclass, field

from nightlatch.model.event import EventKind
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


@dataclass(frozen=True, slots=True)
class CountedRefusals:
    """Like refusals since the last flush, and where the first of them came from."""

    refusal: Refusal
    first: Origin
    count: int
