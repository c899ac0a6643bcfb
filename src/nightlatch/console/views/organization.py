"""The organization's rules for tokens, as far as owners may change them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nightlatch.console.language import Language
from nightlatch.console.views.moments import duration
from nightlatch.console.views.new_token import Choice
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.model.names import LimitPolicy
from nightlatch.model.records import TOKEN_LIMIT_MAX, Organization

UNITS: Final[Mapping[str, int]] = {"days": 24 * 3600, "hours": 3600, "minutes": 60, "seconds": 1}


@dataclass(frozen=True, slots=True)
class OrganizationView:
    """The page `organization.html`.

    Its form sends, of what may be changed: `name`, `token_limit`, `limit_policy`, and `time_to_live` with its
    `time_to_live_unit`, or `never_expires`. `problems` are sentences by field.
    """

    id: str
    name: str
    token_limit: str
    token_limit_max: int
    limit_policy: str
    policies: tuple[Choice, ...]
    time_to_live: str
    units: tuple[Choice, ...]
    never_expires: bool
    lifetime: str
    """In words."""
    child_token_limit: int
    child_lifetime: str
    may_change: frozenset[str]
    again: PasswordAgain
    is_saved: bool
    problems: Mapping[str, str] = field(default_factory=dict)


def organization_view(
    language: Language,
    organization: Organization,
    may_change: frozenset[str],
    again: PasswordAgain,
    sent: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
    is_saved: bool = False,
) -> OrganizationView:
    """The rules as they are, or the form as it was sent where something is wrong with it."""
    seconds = organization.time_to_live
    unit = next(name for name, length in UNITS.items() if seconds is None or seconds % length == 0)
    values = {
        "name": organization.name,
        "token_limit": str(organization.token_limit),
        "limit_policy": organization.limit_policy.value,
        "time_to_live": "" if seconds is None else str(seconds // UNITS[unit]),
        "time_to_live_unit": unit,
        "never_expires": "yes" if seconds is None else "",
    }
    if sent is not None:
        values |= {"never_expires": ""}
        values |= {name: sent[name] for name in values if name in sent}
    return OrganizationView(
        id=organization.id,
        name=values["name"],
        token_limit=values["token_limit"],
        token_limit_max=TOKEN_LIMIT_MAX,
        limit_policy=values["limit_policy"],
        policies=tuple(
            Choice(policy.value, label, policy.value == values["limit_policy"])
            for policy, label in _policies(language)
        ),
        time_to_live=values["time_to_live"],
        units=tuple(
            Choice(name, label, name == values["time_to_live_unit"]) for name, label in _units(language)
        ),
        never_expires=bool(values["never_expires"]),
        lifetime=language.gettext("Never") if seconds is None else duration(language, seconds),
        child_token_limit=organization.child_token_limit,
        child_lifetime=duration(language, organization.child_time_to_live),
        may_change=may_change,
        again=again,
        is_saved=is_saved,
        problems=problems or {},
    )


def read_time_to_live(number: str, unit: str) -> int | None:
    """Seconds that the form's two fields say; None if they are unusable."""
    text = number.strip()
    if unit not in UNITS or not (text.isascii() and text.isdigit() and len(text) <= 12):
        return None
    return int(text) * UNITS[unit]


def _policies(language: Language) -> tuple[tuple[LimitPolicy, str], ...]:
    return (
        (LimitPolicy.REFUSE, language.gettext("Refuse the login")),
        (LimitPolicy.REPLACE_OLDEST, language.gettext("End the oldest token")),
        (
            LimitPolicy.REPLACE_LEAST_RECENTLY_USED,
            language.gettext("End the token that was not used for longest"),
        ),
    )


def _units(language: Language) -> tuple[tuple[str, str], ...]:
    return (
        ("days", language.gettext("days")),
        ("hours", language.gettext("hours")),
        ("minutes", language.gettext("minutes")),
        ("seconds", language.gettext("seconds")),
    )
