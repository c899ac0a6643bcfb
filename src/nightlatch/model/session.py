"""Sessions of people in a browser: the console's, which use up no token and are none."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NewType

from nightlatch.model.base62 import base62
from nightlatch.model.standing import Identity

SessionId = NewType("SessionId", str)
ID_BITS: Final = 71
ID_CHARACTERS: Final = 12


def generate_session_id() -> SessionId:
    """A new public id, which names the session in lists."""
    return SessionId(base62(secrets.randbits(ID_BITS), ID_CHARACTERS))


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """When sessions end by themselves: so long after they were last used, and after they began."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as its user sees it in a list."""

    id: SessionId
    created: datetime
    used: datetime
    expiry: datetime
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Session:
    """A live session: who acts in it, with the role they had when it was read.

    `now`, the database's, and `confirmed`, when the password was last shown, tell how long ago that was.
    """

    id: SessionId
    digest: bytes = field(repr=False)
    identity: Identity
    organization_name: str
    used: datetime
    confirmed: datetime
    expiry: datetime
    now: datetime
