"""Links with which a user sets their own password: for how long they are valid."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nightlatch.model.names import Email
from nightlatch.model.secret import Secret

VALID_SECONDS_DEFAULT: Final = 24 * 3600
VALID_SECONDS_MAX: Final = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A link just made: the only value that holds its secret, with whom it is for and its end."""

    secret: Secret
    email: Email
    expiry: datetime
