"""Invitations: links with which somebody becomes a member of an organization."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType

from nightlatch.model.base62 import base62
from nightlatch.model.names import Email, OrganizationId, Role
from nightlatch.model.secret import Secret

InvitationId = NewType("InvitationId", str)
ID_BITS: Final = 71
ID_CHARACTERS: Final = 12

VALID_SECONDS: Final = 7 * 24 * 3600
PENDING_MAX: Final = 100
"""Of one organization, those included that have expired and still say so."""


def generate_invitation_id() -> InvitationId:
    """A new public id, which names the invitation in lists."""
    return InvitationId(base62(secrets.randbits(ID_BITS), ID_CHARACTERS))


@dataclass(frozen=True, slots=True)
class InvitationRecord:
    """An invitation that has not been used, as owners see it in a list."""

    id: InvitationId
    email: Email
    role: Role
    invited_by: Email
    created: datetime
    expiry: datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """An invitation just made: the only value that holds its secret, with whom it is for and its end."""

    id: InvitationId
    secret: Secret
    email: Email
    role: Role
    expiry: datetime


@dataclass(frozen=True, slots=True)
class FoundInvitation:
    """What a link tells whoever opens it.

    Not whether there is a user with that address: an owner has the link too, and would learn who has an
    account elsewhere.
    """

    organization_id: OrganizationId
    organization_name: str
    email: Email
    role: Role
    invited_by: Email
    expiry: datetime
    expired: bool
