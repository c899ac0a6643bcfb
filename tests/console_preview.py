"""Every page of the console with made-up data, and pictures: python -m tests.console_preview DIRECTORY.

Not a test: to look at. The pages are the real templates, styles and script, opened from files.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from nightlatch.console.assets import DIRECTORY, PATH, asset_url
from nightlatch.console.language import Language, choose_language
from nightlatch.console.render import Member, Visit, render_page
from nightlatch.console.views import links, members, messages
from nightlatch.console.views.account import account_view
from nightlatch.console.views.activity import activity_view, read_activity_query
from nightlatch.console.views.end_tokens import end_tokens_view, ended_tokens_view
from nightlatch.console.views.new_token import created_token_view, new_token_view
from nightlatch.console.views.organization import organization_view
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.console.views.sign_in import RememberedOrganization, SignIn, SignInNotice
from nightlatch.console.views.tokens import Meter, choose_shown, read_token_query, tokens_view
from nightlatch.model.event import ActorKind, EventKind, EventRecord
from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role, TokenId, UserId
from nightlatch.model.records import IssuedToken, Membership, Organization, TokenRecord
from nightlatch.model.session import SessionId, SessionRecord
from nightlatch.model.token import generate_token
from nightlatch.model.usage import Usage

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
ACME = OrganizationId("auhf2k")
ANN, BOB, EVE = (
    Email("ann@example.com"),
    Email("bob@example.com"),
    Email("eve.longstreet@contractors.example.org"),
)
COLLEAGUE = Email("new.colleague@example.com")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
NAMES = (
    *("nightly export", "grafana", "deploy runner", "warehouse sync", "ann's laptop", "mobile app, staging"),
    *("billing importer", "", "load test March", "backup check", "partner: Contoso", "webhook relay"),
    *("old laptop", "jenkins", "search indexer", "mail digest", "status page"),
)
HOSTILE = (
    "<script>alert(1)</script>",
    "\u202egnp.exe\u202c \u0000\u0007 \u200bhidden",
    "W" * 100,
    "   ",
    "'\"><img src=x onerror=alert(1)> {{ 7*7 }} %(name)s",
    "日本語の名前 مرحبا 👩‍💻",
)
AGENTS = (
    "curl/8.5.0",
    "python-requests/2.32.3",
    FIREFOX,
    "Ruby",
    "GuzzleHttp/7",
    "node",
    "Go-http-client/1.1",
)


def _token_id(place: int) -> TokenId:
    return TokenId(f"{(place + 7) * 7919 % 100000:05d}kTq2LmX"[:12])


def tokens(names: tuple[str, ...] = NAMES) -> tuple[TokenRecord, ...]:
    """Live tokens of three people."""
    made = []
    for place, name in enumerate(names):
        unused = place % 8 == 7
        last = NOW - timedelta(minutes=3 + 11 * place**3)
        made.append(
            TokenRecord(
                id=_token_id(place),
                name=name,
                email=(ANN, BOB, EVE)[place % 3],
                created=min(NOW - timedelta(days=2 + place * 3 % 29, hours=place), last),
                expiry=None if place == 3 else NOW + timedelta(days=28 - place * 3 % 29, hours=5),
                last_used=None if unused else last,
                last_address=None
                if unused
                else (f"192.0.2.{place + 10}" if place % 4 else "2001:db8:4f1:9::1"),
                user_agent=AGENTS[place % len(AGENTS)],
            )
        )
    return tuple(made)


def usage(records: tuple[TokenRecord, ...]) -> Usage:
    """Thirty days of use."""
    per_token = {}
    for place, token in enumerate(records):
        idle = (NOW - (token.last_used or token.created)).days
        per_token[token.id] = tuple(
            0
            if token.last_used is None or day > 29 - idle
            else 20 + (day * 37 + place * 53) % 90 + 400 * (day % 7 < 5)
            for day in range(30)
        )
    return Usage(
        first_day=date(2026, 10, 28),
        per_token=per_token,
        verifications=tuple(map(sum, zip(*per_token.values(), strict=True))) if per_token else (0,) * 30,
        logins=tuple((day * 7 + 3) % 5 for day in range(30)) if records else (0,) * 30,
        refusals=tuple(14 if day == 22 else day % 9 == 0 for day in range(30)) if records else (0,) * 30,
    )


def _member(place: int, email: Email, role: Role) -> Membership:
    return Membership(ACME, UserId(place), email, role, NOW - timedelta(days=200 - place * 40), None)


MEMBERS = (
    _member(1, ANN, Role.OWNER),
    _member(2, BOB, Role.MEMBER),
    Membership(ACME, UserId(3), EVE, Role.MEMBER, NOW - timedelta(days=12), NOW),
)


@dataclass(frozen=True)
class Invited:
    """An invitation."""

    id: str = "Qm2Kb9ZtXwLa"
    email: Email = COLLEAGUE
    role: Role = Role.MEMBER
    invited_by: str = ANN
    created: datetime = NOW - timedelta(days=1)
    expiry: datetime = NOW + timedelta(days=6)


def event(
    place: int, kind: EventKind | str, hours: float, detail: Mapping[str, object] = {}, **values: object
) -> EventRecord:
    """An event so many hours ago."""
    given: dict[str, object] = {
        "organization_id": ACME,
        "actor": ActorKind.USER,
        "actor_email": ANN,
        "actor_token_id": None,
        "email": ANN,
        "token_id": None,
        "address": "192.0.2.14",
        "user_agent": FIREFOX,
        "request_id": "0f1e2d3c4b5a6978",
        "count": 1,
    } | values
    return EventRecord(id=place, at=NOW - timedelta(hours=hours), kind=kind, detail=detail, **given)  # type: ignore[arg-type]


def events() -> tuple[EventRecord, ...]:
    """Some of most kinds."""
    return (
        event(15, EventKind.SIGNED_IN, 0.1),
        event(
            14, EventKind.TOKENS_REVOKED, 0.4, {"ended_tokens": [_token_id(n) for n in range(9)]}, email=BOB
        ),
        event(
            13,
            EventKind.LOGIN_REFUSED,
            2,
            {"reason": "wrong password"},
            actor=ActorKind.ANONYMOUS,
            actor_email=None,
            email=BOB,
            count=14,
            address="203.0.113.99",
            user_agent="python-requests/2.32.3",
        ),
        event(
            12, EventKind.LOGIN, 5, actor_email=BOB, email=BOB, token_id=_token_id(1), user_agent="curl/8.5.0"
        ),
        event(11, EventKind.LIMIT_REACHED, 6, {"reason": "limit reached"}, actor_email=EVE, email=EVE),
        event(
            10,
            EventKind.LIMIT_CHANGED,
            26,
            {
                "token_limit": {"before": 10, "after": 20},
                "limit_policy": {"before": "refuse", "after": "replace_oldest"},
            },
            actor=ActorKind.OPERATOR,
            actor_email=None,
            email=None,
            address=None,
            user_agent=None,
        ),
        event(9, EventKind.TOKEN_CREATED, 30, {"name": "nightly export"}, token_id=_token_id(0)),
        event(8, EventKind.TOKEN_REVOKED, 52, {"by": "owner"}, email=BOB, token_id=_token_id(4)),
        event(7, EventKind.MEMBER_INVITED, 60, {"role": "member"}, email=Email("new.colleague@example.com")),
        event(6, EventKind.MEMBER_CHANGED, 80, {"role": {"before": "member", "after": "owner"}}, email=BOB),
        event(5, EventKind.ORGANIZATION_CHANGED, 100, {"time_to_live": {"before": None, "after": 2592000}}),
        event(
            4,
            EventKind.THROTTLED,
            140,
            {"reason": "account"},
            actor=ActorKind.ANONYMOUS,
            actor_email=None,
            email=None,
            count=231,
        ),
        event(
            3,
            EventKind.CHILD_TOKEN_ISSUED,
            200,
            {"parent_id": _token_id(2), "methods": ["GET"], "paths": ["/v1/videos/"]},
            token_id=_token_id(9),
        ),
        event(
            2,
            EventKind.IMPORTED,
            900,
            {"source": "knox", "users": 12, "memberships": 14, "tokens": 31},
            actor=ActorKind.OPERATOR,
            actor_email=None,
            email=None,
            address=None,
            user_agent=None,
        ),
        event(
            1,
            "a_kind_of_tomorrow",
            1000,
            {"<b>": "<i>\u202e"},
            actor=ActorKind.SERVER,
            actor_email=None,
            email=None,
        ),
    )


def sessions() -> tuple[SessionRecord, ...]:
    """Three browsers."""
    return (
        SessionRecord(
            SessionId("aaaaaaaaaaaa"),
            NOW - timedelta(hours=2),
            NOW,
            NOW + timedelta(hours=10),
            "192.0.2.14",
            FIREFOX,
        ),
        SessionRecord(
            SessionId("bbbbbbbbbbbb"),
            NOW - timedelta(days=3),
            NOW - timedelta(hours=7),
            NOW + timedelta(days=1),
            "198.51.100.7",
            CHROME,
        ),
        SessionRecord(
            SessionId("cccccccccccc"),
            NOW - timedelta(days=6),
            NOW - timedelta(days=2),
            NOW + timedelta(hours=9),
            "2001:db8::17",
            "",
        ),
    )


def organization(policy: LimitPolicy = LimitPolicy.REFUSE) -> Organization:
    """Acme."""
    return Organization(ACME, "Acme Streams", 20, policy, 30 * 86400, NOW, None, 1000, 3600)


def pages(language: Language) -> Iterator[tuple[str, str]]:
    """Name and HTML of every page."""
    owner = Visit(language, "/console/tokens/?q=a", Member(ANN, ACME, "Acme Streams", True))
    member = Visit(language, "/console/tokens/", Member(BOB, ACME, "Acme Streams", False))
    hostile = Visit(
        language,
        "/console/tokens/",
        Member(Email("x" * 240 + "@example.com"), ACME, "<b>\u202eAcme</b>" + "M" * 180, True),
    )
    public = Visit(language, "/console/sign-in/")
    fine, again = PasswordAgain(False), PasswordAgain(True)
    rules = organization()

    def listed(visit: Visit, records: tuple[TokenRecord, ...], used: int, **query: str) -> str:
        asked = read_token_query(query)
        chosen = choose_shown(records, asked, NOW)
        view = tokens_view(language, asked, chosen, usage(records), Meter(used, 20), rules.limit_policy, NOW)
        return render_page("tokens.html", visit, view=view)

    some = tokens()
    yield "sign-in", render_page("sign_in.html", public, view=SignIn())
    remembered = (RememberedOrganization("auhf2k", "Acme Streams"), RememberedOrganization("x7", "Contoso"))
    yield (
        "sign-in-remembered",
        render_page(
            "sign_in.html", public, view=SignIn(ANN, "auhf2k", remembered, notice=SignInNotice.ENDED)
        ),
    )
    yield (
        "sign-in-refused",
        render_page(
            "sign_in.html",
            public,
            view=SignIn(
                ANN, "other", remembered, "E-mail address, password and organization id do not fit together."
            ),
        ),
    )
    yield "tokens", listed(owner, some, len(some))
    yield "tokens-member", listed(member, tuple(token for token in some if token.email == BOB), len(some))
    yield "tokens-none-fits", listed(owner, some, 20, q="nowhere", state="idle")
    yield "tokens-first", listed(owner, (), 0)
    yield "tokens-hostile", listed(hostile, tokens(HOSTILE), 20)
    yield (
        "end-tokens",
        render_page(
            "end_tokens.html", owner, view=end_tokens_view(language, some[2:9], NOW, again, email=BOB)
        ),
    )
    yield (
        "end-tokens-none",
        render_page("end_tokens.html", owner, view=end_tokens_view(language, (), NOW, fine)),
    )
    yield (
        "tokens-ended",
        render_page("tokens_ended.html", owner, view=ended_tokens_view(language, some[2:7], 1, NOW, NOW)),
    )
    yield (
        "new-token",
        render_page(
            "new_token.html",
            owner,
            view=new_token_view(language, rules.time_to_live, Meter(20, 20), LimitPolicy.REFUSE, again),
        ),
    )
    issued = IssuedToken(generate_token(), NOW + timedelta(days=30), ())
    yield (
        "token-created",
        render_page(
            "token_created.html",
            owner,
            view=created_token_view(language, issued, "nightly export", "https://auth.example.com", NOW),
        ),
    )
    yield (
        "members",
        render_page(
            "members.html",
            owner,
            view=members.members_view(language, MEMBERS, (Invited(),), UserId(1), NOW, fine),
        ),
    )
    yield (
        "member-role",
        render_page(
            "confirm.html", owner, view=members.confirm_role(language, MEMBERS[1], Role.OWNER, False, again)
        ),
    )
    yield (
        "member-remove",
        render_page(
            "confirm.html", owner, view=members.confirm_removal(language, MEMBERS[1], 6, False, fine)
        ),
    )
    yield (
        "member-password",
        render_page("confirm.html", owner, view=members.confirm_password_link(language, MEMBERS[1], fine)),
    )
    yield (
        "invitation-withdraw",
        render_page("confirm.html", owner, view=members.confirm_withdrawal(language, Invited(), fine)),
    )
    url = "https://auth.example.com/console/invitation/?link=nli_" + "4fTz0aB7" * 6
    for name, was_mailed in (("invited", None), ("invited-mailed", True), ("invited-not-mailed", False)):
        view = links.invitation_link(language, Invited().email, url, Invited().expiry, NOW, was_mailed)
        yield name, render_page("issued_link.html", owner, view=view)
    yield (
        "invitation",
        render_page(
            "invitation.html",
            public,
            view=links.invitation_view(
                language, "nli_x", ACME, "Acme Streams", Invited().email, Role.MEMBER, 12
            ),
        ),
    )
    yield (
        "account",
        render_page(
            "account.html",
            owner,
            view=account_view(language, sessions(), SessionId("aaaaaaaaaaaa"), events()[:6], 12, NOW),
        ),
    )
    yield (
        "activity",
        render_page(
            "activity.html", owner, view=activity_view(language, read_activity_query({}), events(), 431, NOW)
        ),
    )
    yield (
        "activity-none",
        render_page(
            "activity.html",
            owner,
            view=activity_view(language, read_activity_query({"user": "nobody"}), (), 0, NOW),
        ),
    )
    may = frozenset({"name", "limit_policy", "time_to_live"})
    yield (
        "organization",
        render_page(
            "organization.html", owner, view=organization_view(language, rules, may, fine, is_saved=True)
        ),
    )
    yield (
        "organization-all",
        render_page(
            "organization.html",
            owner,
            view=organization_view(
                language,
                rules,
                may | {"token_limit"},
                again,
                {"token_limit": "-1"},
                {"token_limit": "A token limit is a number from 0 to 10000."},
            ),
        ),
    )
    yield "forbidden", render_page("message.html", member, view=messages.forbidden(language))
    yield "not-found", render_page("message.html", owner, view=messages.not_found(language))
    yield "unavailable", render_page("message.html", public, view=messages.unavailable(language))
    yield "failed", render_page("message.html", public, view=messages.failed(language, "0f1e2d3c"))
    yield "other-site", render_page("message.html", public, view=messages.other_site(language))
    yield "no-cookie", render_page("message.html", public, view=messages.no_cookie(language))
    yield "dead-link", render_page("message.html", public, view=messages.dead_link(language))


def as_file(html: str) -> str:
    """The page as it can be opened from a file."""
    for file in DIRECTORY.iterdir():
        html = html.replace(asset_url(file.name), file.as_uri())
    assert PATH not in html
    return html


def main() -> None:
    """Write the pages, and with --shots their pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--language", default="en")
    parser.add_argument("--only", default="")
    parser.add_argument("--shots", default="", help="of light, dark, narrow; comma-separated")
    chosen = parser.parse_args()
    chosen.directory.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, chosen.only.split(",")))
    named = [
        (name, html)
        for name, html in pages(choose_language(chosen.language, None))
        if not only or name in only
    ]
    for name, html in named:
        (chosen.directory / f"{name}.html").write_text(as_file(html), "utf-8")
    if chosen.shots:
        take(chosen.directory, [name for name, _ in named], chosen.shots.split(","))


def take(directory: Path, names: list[str], looks: list[str]) -> None:
    """Pictures of the pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for look in looks:
            scheme: Literal["dark", "light"] = "dark" if look == "dark" else "light"
            width = 360 if look == "narrow" else 1200
            context = browser.new_context(viewport={"width": width, "height": 760}, color_scheme=scheme)
            page = context.new_page()
            for name in names:
                page.goto((directory / f"{name}.html").resolve().as_uri())
                wide = page.evaluate("document.documentElement.scrollWidth")
                if wide > width:
                    print(f"{name} {look}: {wide} wide")  # noqa: T201
                height = min(1600, page.evaluate("document.documentElement.scrollHeight"))
                page.set_viewport_size({"width": width, "height": max(700, height)})
                page.screenshot(path=directory / f"{name}-{look}.png")
                page.set_viewport_size({"width": width, "height": 760})
        browser.close()


if __name__ == "__main__":
    main()
