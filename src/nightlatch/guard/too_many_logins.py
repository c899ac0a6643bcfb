"""What whoever cannot have their password checked in time is told."""

from nightlatch.model.errors import Overloaded


def too_many_logins(detail: str) -> Overloaded:
    """To be raised; the detail says what there is too little of, and is for the log."""
    return Overloaded("Too many logins at the moment. Try again later.", detail)
