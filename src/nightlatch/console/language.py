"""The languages of the console's texts: gettext catalogues in `locale/`, English in the source."""

import gettext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

DOMAIN: Final = "nightlatch"
LOCALE: Final = Path(__file__).parent / "locale"
COOKIE: Final = "language"
"""Name of the cookie, and of the query parameter that sets it."""


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """A language: how texts and numbers are written in it."""

    code: str
    """As in HTML's `lang`."""
    name: str
    """In the language itself."""
    thousands: str
    translations: gettext.NullTranslations = field(repr=False)

    def gettext(self, text: str, /, **values: Any) -> str:
        """The text in this language; `values` fill its `%(name)s`."""
        translated = self.translations.gettext(text)
        return translated % values if values else translated

    def ngettext(self, one: str, many: str, number: int, /, **values: Any) -> str:
        """The text that fits the number, which fills `%(number)s` in it."""
        translated = self.translations.ngettext(one, many, number)
        return translated % {"number": self.number(number), **values}

    def number(self, number: int) -> str:
        """A whole number with its thousands set apart."""
        return f"{number:,}".replace(",", self.thousands)


@cache
def languages() -> tuple[Language, ...]:
    """All of them; the first is the default."""
    german = gettext.translation(DOMAIN, LOCALE, ["de"])
    return (
        Language("en", "English", ",", gettext.NullTranslations()),
        Language("de", "Deutsch", ".", german),
    )


def find_language(code: str | None) -> Language | None:
    """The language with this code, if there is such a one."""
    return next((each for each in languages() if each.code == code), None)


def choose_language(chosen: str | None, accepted: str | None) -> Language:
    """The language that was chosen (query or cookie), else the best of an Accept-Language header.

    RFC 9110, section 12.5.4; what is malformed in the header counts as not there.
    """
    found = find_language(chosen)
    if found is not None:
        return found
    best, quality = languages()[0], 0.0
    for part in (accepted or "")[:1000].split(","):
        tag, _, parameter = part.strip().partition(";")
        weight = _weight(parameter)
        candidate = find_language(tag.strip().partition("-")[0].lower())
        if candidate is not None and weight > quality:
            best, quality = candidate, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip().lower() == "q" and 0.0 <= weight <= 1.0 else 0.0
