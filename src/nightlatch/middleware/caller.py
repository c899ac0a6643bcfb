"""Who makes a request."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, in which organization, and by which token; true for this request only.

    `role` is `owner` or `member`; `token_id` is the token's public id; `expiry` is None for a token without
    end. It has what Django and Django REST framework ask of a user, without a row in any table.
    """

    organization_id: str
    email: str
    role: str
    token_id: str
    expiry: datetime | None

    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def is_owner(self) -> bool:
        """Whether the caller is an owner of the organization."""
        return self.role == "owner"

    @property
    def pk(self) -> str:
        """What tells users apart, for Django REST framework's throttling: the e-mail address."""
        return self.email

    def get_username(self) -> str:
        """The e-mail address."""
        return self.email

    def __str__(self) -> str:
        return self.email
