"""Which rules for tokens an organization may have."""

from nightlatch.model.errors import InvalidValue, NotFound
from nightlatch.model.records import (
    CHILD_TIME_TO_LIVE_SECONDS_MAX,
    CHILD_TOKEN_LIMIT_MAX,
    TIME_TO_LIVE_SECONDS_MAX,
    TOKEN_LIMIT_MAX,
)


def check_token_limit(limit: int) -> int:
    """The limit; raises InvalidValue('token_limit')."""
    if not 0 <= limit <= TOKEN_LIMIT_MAX:
        raise InvalidValue("token_limit", f"A token limit is a number from 0 to {TOKEN_LIMIT_MAX}.")
    return limit


def check_time_to_live(seconds: int | None) -> int | None:
    """The time to live in seconds; raises InvalidValue('time_to_live')."""
    if seconds is not None and not 1 <= seconds <= TIME_TO_LIVE_SECONDS_MAX:
        raise InvalidValue(
            "time_to_live", f"A time to live is 1 to {TIME_TO_LIVE_SECONDS_MAX} seconds (ten years)."
        )
    return seconds


def check_child_token_limit(limit: int) -> int:
    """The limit; raises InvalidValue('child_token_limit')."""
    if not 0 <= limit <= CHILD_TOKEN_LIMIT_MAX:
        raise InvalidValue(
            "child_token_limit", f"A limit of child tokens is a number from 0 to {CHILD_TOKEN_LIMIT_MAX}."
        )
    return limit


def check_child_time_to_live(seconds: int) -> int:
    """The time to live in seconds; raises InvalidValue('child_time_to_live')."""
    if not 1 <= seconds <= CHILD_TIME_TO_LIVE_SECONDS_MAX:
        raise InvalidValue(
            "child_time_to_live",
            f"A child token's time to live is 1 to {CHILD_TIME_TO_LIVE_SECONDS_MAX} seconds (a day).",
        )
    return seconds


def no_organization(organization_id: str) -> NotFound:
    """The error for an organization that an operator named and that is not there."""
    return NotFound(
        f"There is no open organization '{organization_id}'. To see which there are: "
        "nightlatch organization list"
    )
