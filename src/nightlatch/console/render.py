"""Pages from templates: escaped, in the reader's language, without characters that hide or reorder text."""

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nightlatch.console.assets import asset_url
from nightlatch.console.language import COOKIE, Language, languages
from nightlatch.model.names import Role
from nightlatch.model.session import Session

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The Content-Security-Policy that every page keeps to (OWASP ASVS 5.0, 3.4.3)."""


@dataclass(frozen=True, slots=True)
class Member:
    """Who is signed in, as the frame of each page shows it."""

    email: str
    organization_id: str
    organization_name: str
    is_owner: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """For whom a page is made.

    `here` is the path and query of a GET, so that the page can be had in another language; empty for an
    answer to a POST. `member` is None where nobody is signed in.
    """

    language: Language
    here: str = ""
    member: Member | None = None


def visit_of(session: Session, language: Language, here: str = "") -> Visit:
    """The visit of somebody who is signed in."""
    identity = session.identity
    return Visit(
        language,
        here,
        Member(
            identity.email, identity.organization_id, session.organization_name, identity.role is Role.OWNER
        ),
    )


def render_page(template: str, visit: Visit, **values: Any) -> str:
    """The page's HTML. Raises jinja2.UndefinedError for a value that is missing."""
    return (
        _environment(visit.language)
        .get_template(template)
        .render(values, visit=visit, language_links=_language_links(visit))
    )


@cache
def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=PackageLoader("nightlatch.console"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.policies["ext.i18n.trimmed"] = True
    translations = language.translations
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["asset_url"] = asset_url
    environment.filters["number"] = language.number
    return environment


@dataclass(frozen=True, slots=True)
class _LanguageLink:
    language: Language
    url: str
    is_current: bool


def _language_links(visit: Visit) -> tuple[_LanguageLink, ...]:
    if not visit.here:
        return ()
    path, _, query = visit.here.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith(f"{COOKIE}=")]
    return tuple(
        _LanguageLink(each, f"{path}?{'&'.join([*kept, f'{COOKIE}={each.code}'])}", each is visit.language)
        for each in languages()
    )


def _harmless(value: object) -> object:
    """What is put out, without characters that are not seen, or change what others look like.

    Names and user agents are chosen by strangers: no control characters, nothing that turns the direction.
    """
    if not isinstance(value, str):
        return value
    if value.isprintable() or value.replace("\n", "").isprintable():
        return value
    clean = "".join(character if _is_harmless(character) else "\ufffd" for character in value)
    return Markup(clean) if isinstance(value, Markup) else clean  # noqa: S704 - was so before


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"
