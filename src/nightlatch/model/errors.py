"""Errors, as a caller would catch them.

    NightlatchError
    ├── Refused                    what was asked for is not granted; asking again changes nothing
    │   ├── InvalidValue           a value is unusable; names the field
    │   ├── CredentialsRejected    login or Basic: identity could not be established
    │   ├── TokenRejected          no live token stands behind the Authorization header
    │   ├── SessionEnded           no live session stands behind the cookie, or not any more
    │   ├── TokenLimitReached      the organization has as many live tokens as it may
    │   ├── ChildTokenLimitReached the same of child tokens
    │   ├── InvitationLimitReached the same of invitations that nobody has used
    │   ├── Throttled              there were too many attempts; later it may be granted
    │   ├── Forbidden              the caller is known, and may not do it
    │   ├── NotFound               there is no such thing, or it is another organization's
    │   ├── AlreadyExists          there is such a thing already
    │   └── LastOwner              it would leave an organization without an owner
    ├── Unavailable                it may work later; nothing is known to have happened
    │   ├── Overloaded             a bounded queue is full
    │   ├── MailNotSent            the mail server has not taken a mail, as far as is known
    │   └── StoreUnavailable       the database cannot be asked, or its answer to COMMIT is unknown
    │       └── VerdictUnknown     whether a token is valid cannot be told at the moment
    └── CannotStart                settings or schema forbid to start; says the way out

Each has a stable `code` and a `public` sentence, which may leave the process, and a private
`detail`, which goes to the log only. None may carry a token or a password in any of the three.
"""

import math
from typing import ClassVar


class NightlatchError(Exception):
    """Base of every error that Nightlatch raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, public: str, detail: str = "") -> None:
        super().__init__(public)
        self.public = public
        self.detail = detail


class Refused(NightlatchError):
    """What was asked for is not granted."""

    code = "refused"


class InvalidValue(Refused):
    """The value of `field` is unusable; `public` says what is allowed."""

    code = "invalid_value"

    def __init__(self, field: str, public: str, detail: str = "") -> None:
        super().__init__(public, detail)
        self.field = field


class CredentialsRejected(Refused):
    """Username, password and organization id do not fit together.

    Which of the five reasons it was stands in `detail` and never leaves the process.
    """

    code = "credentials_rejected"

    def __init__(self, detail: str) -> None:
        super().__init__("Unable to log in with provided credentials.", detail)


class TokenRejected(Refused):
    """The token is unknown, expired, ended, or its user may no longer use it."""

    code = "token_rejected"

    def __init__(self, detail: str = "") -> None:
        super().__init__("Invalid token.", detail)


class SessionEnded(Refused):
    """The session is unknown, has expired, or was ended while the request was under way."""

    code = "session_ended"

    def __init__(self) -> None:
        super().__init__("The session has ended. Sign in again.")


class TokenLimitReached(Refused):
    """The organization has its limit of live tokens."""

    code = "token_limit_reached"

    def __init__(self, organization_id: str) -> None:
        super().__init__(
            "This organization has as many live tokens as it may have.",
            f"organization {organization_id}",
        )


class ChildTokenLimitReached(Refused):
    """The organization has its limit of live child tokens."""

    code = "child_token_limit_reached"

    def __init__(self, organization_id: str) -> None:
        super().__init__(
            "This organization has as many live child tokens as it may have.",
            f"organization {organization_id}",
        )


class InvitationLimitReached(Refused):
    """The organization has as many invitations that nobody has used as it may have."""

    code = "invitation_limit_reached"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"There are {most} invitations already that nobody has used, and there may be no more. "
            "Withdraw those that are not needed."
        )


class Throttled(Refused):
    """Too many attempts; the next one is looked at in `retry_after` whole seconds, 1 at least.

    The sentence is that of Django REST framework. What was used up stands in `detail`.
    """

    code = "throttled"

    def __init__(self, wait_seconds: float, detail: str) -> None:
        self.retry_after = max(1, math.ceil(wait_seconds))
        unit = "second" if self.retry_after == 1 else "seconds"
        super().__init__(f"Request was throttled. Expected available in {self.retry_after} {unit}.", detail)


class Forbidden(Refused):
    """The caller may not do this."""

    code = "forbidden"

    def __init__(self) -> None:
        super().__init__("You do not have permission to perform this action.")


class NotFound(Refused):
    """No such thing, as far as the caller may know."""

    code = "not_found"


class AlreadyExists(Refused):
    """The thing to be made exists."""

    code = "already_exists"


class LastOwner(Refused):
    """The change would leave an organization without an active owner."""

    code = "last_owner"


class Unavailable(NightlatchError):
    """Nightlatch cannot do it now; `retry_after` is a number of whole seconds."""

    code = "unavailable"
    retry_after: ClassVar[int] = 1


class Overloaded(Unavailable):
    """A bounded queue did not get to this request in its time."""

    code = "overloaded"
    retry_after = 5


class MailNotSent(Unavailable):
    """No server has taken the mail, as far as is known; `advice` tells the operator what to do.

    Neither of the two repeats what the server said: it may have repeated a link or a password.
    """

    code = "mail_not_sent"

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__("The mail could not be sent.", detail)
        self.advice = advice


class StoreUnavailable(Unavailable):
    """The database did not answer, or its answer to a COMMIT was lost: then it may have happened."""

    code = "store_unavailable"


class VerdictUnknown(StoreUnavailable):
    """Memory may not answer, and the database was not heard in time: nothing is accepted."""

    code = "verdict_unknown"

    def __init__(self, detail: str) -> None:
        super().__init__("Whether the token is valid cannot be told at the moment. Try again later.", detail)


class CannotStart(NightlatchError):
    """A setting or the schema forbids to start; `public` names it and the way out."""

    code = "cannot_start"
