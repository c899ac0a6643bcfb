"""Moving in from django-rest-knox, or from Django REST framework's own tokens."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nightlatch.cli.command import Call, command
from nightlatch.cli.output import Answer
from nightlatch.model.moving import NOTES, OverLimit, Reason, Report, Service, Tally
from nightlatch.model.names import LimitPolicy

if TYPE_CHECKING:
    from nightlatch.usecases.import_tokens import Progress

moving = typer.Typer(
    help="Move in from another service: its users, and its tokens, which go on working.",
    no_args_is_help=True,
)

_SOURCE: Final = "NIGHTLATCH_IMPORT_SOURCE"  # settings.COMMAND_VARIABLES has it, too

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        envvar=_SOURCE,
        help="The Django project's database (sqlite:///FILE, postgresql://…, mysql://…), of which nothing is "
        "changed, or a file that `manage.py dumpdata --format jsonl` wrote. A password in a URL is seen by "
        f"others on this machine: then set {_SOURCE} instead.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; report what would be done, and what cannot be.")
]
MappingOption = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        metavar="FILE",
        help="Who belongs to which organization: CSV with headers, or JSON lines. Columns: username, email "
        "or user_id; organization_id; and as you like organization_name, role (owner or member), tokens "
        "(yes: the tokens of a user of several organizations are this one's).",
    ),
]
QueryOption = Annotated[
    str,
    typer.Option(
        "--memberships-query",
        metavar="SQL",
        help="The same as a query on the source, with the same names of columns.",
        show_default=False,
    ),
]
OrganizationOption = Annotated[
    str | None,
    typer.Option("--organization", metavar="ID", help="Everybody is a member of this one organization."),
]
FollowOption = Annotated[
    bool,
    typer.Option(
        "--follow",
        help="Also do here what was done there since an earlier import: end tokens that are gone there, move "
        "expiries, disable users who are inactive or gone there, take over changed passwords.",
    ),
]
EndMostOption = Annotated[
    bool,
    typer.Option(
        "--end-most",
        help="With --follow: go on also where more than half of the imported tokens or users are gone there.",
    ),
]
UserTableOption = Annotated[str, typer.Option("--user-table", metavar="TABLE", help="The users' table.")]
UserKeyOption = Annotated[str, typer.Option("--user-key", metavar="COLUMN", help="The users' primary key.")]
TokenTableOption = Annotated[
    str, typer.Option("--token-table", metavar="TABLE", help="The tokens' table.", show_default=False)
]
UsernameOption = Annotated[
    str,
    typer.Option(
        "--username-column",
        metavar="COLUMN",
        help="What users log in with: Django's USERNAME_FIELD. Where it is no e-mail address, the column "
        "email is taken, and reported.",
        show_default="username if there is one, else email",
    ),
]
PrefixOption = Annotated[
    list[str] | None,
    typer.Option(
        "--token-prefix",
        metavar="TEXT",
        help="knox's TOKEN_PREFIX; once for each that there ever was.",
        show_default="no prefix",
    ),
]
CharactersOption = Annotated[
    int, typer.Option("--token-characters", metavar="N", help="knox's AUTH_TOKEN_CHARACTER_LENGTH.")
]
OldKnoxOption = Annotated[
    bool,
    typer.Option(
        "--knox-4-tokens",
        help="Bring tokens of knox 4 along though the source has knox 5, which accepts them no more.",
    ),
]


@moving.command(
    "knox",
    epilog="Example: nightlatch import knox postgresql://django@db.example.com/streams --mapping members.csv "
    "--dry-run",
)
@command
def knox(
    call: Call,
    source: SourceArgument,
    dry_run: DryRunOption = False,
    mapping: MappingOption = None,
    memberships_query: QueryOption = "",
    organization: OrganizationOption = None,
    follow: FollowOption = False,
    end_most: EndMostOption = False,
    user_table: UserTableOption = "auth_user",
    user_key: UserKeyOption = "id",
    token_table: TokenTableOption = "knox_authtoken",
    username_column: UsernameOption = "",
    token_prefix: PrefixOption = None,
    token_characters: CharactersOption = 64,
    knox_4_tokens: OldKnoxOption = False,
) -> Answer:
    """Import users and tokens of django-rest-knox 4.2 and later. May be repeated, and brings what is new."""
    from nightlatch.usecases.move_in import Move, move_in
    from nightlatch.usecases.plan_import import TokenForm
    from nightlatch.usecases.read_source import SourceOptions

    options = SourceOptions(
        user_table, token_table, username_column, user_key=user_key, memberships_query=memberships_query
    )
    form = TokenForm(tuple(token_prefix or ("",)), token_characters, knox_4_tokens)
    move = Move(Service.KNOX, source, options, form, mapping, organization, follow, dry_run, end_most)
    with _progress() as progress:
        return _answer(call.session().run(move_in, move, progress))


@moving.command("drf", epilog="Example: nightlatch import drf export.jsonl --organization acme --dry-run")
@command
def drf(
    call: Call,
    source: SourceArgument,
    dry_run: DryRunOption = False,
    mapping: MappingOption = None,
    memberships_query: QueryOption = "",
    organization: OrganizationOption = None,
    follow: FollowOption = False,
    end_most: EndMostOption = False,
    user_table: UserTableOption = "auth_user",
    user_key: UserKeyOption = "id",
    token_table: TokenTableOption = "authtoken_token",
    username_column: UsernameOption = "",
) -> Answer:
    """Import users and tokens of Django REST framework's TokenAuthentication, hashed on the way."""
    from nightlatch.usecases.move_in import Move, move_in
    from nightlatch.usecases.plan_import import TokenForm
    from nightlatch.usecases.read_source import SourceOptions

    options = SourceOptions(
        user_table, token_table, username_column, user_key=user_key, memberships_query=memberships_query
    )
    move = Move(Service.DRF, source, options, TokenForm(), mapping, organization, follow, dry_run, end_most)
    with _progress() as progress:
        return _answer(call.session().run(move_in, move, progress))


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on standard error, where somebody looks at it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
    )
    tasks: dict[str, Any] = {}

    def note(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done)

    with bar:
        yield note


# --- the report -----------------------------------------------------------------------------------

_SENTENCES: Final[dict[Reason, str]] = {
    Reason.USER_WITHOUT_EMAIL: "users with no e-mail address as their username, nor beside it",
    Reason.USER_DUPLICATE: "users who share an e-mail address, upper and lower case alike",
    Reason.PLACEMENT_UNKNOWN_USER: "lines of the mapping about users who are not imported",
    Reason.PLACEMENT_ORGANIZATION_ID: "lines with an id that is not 2 to 32 lower-case letters and digits",
    Reason.PLACEMENT_ROLE: "lines with a role that is neither owner nor member",
    Reason.ORGANIZATION_CLOSED: "memberships and tokens of an organization that is closed here",
    Reason.TOKEN_EXPIRED: "tokens that have expired",
    Reason.TOKEN_SALTED: "salted tokens, of knox before 4.2; their users have to log in again",
    Reason.TOKEN_OTHER_ALGORITHM: "tokens hashed with another algorithm than SHA-512",
    Reason.TOKEN_PREFIX: "tokens with a prefix; give it with --token-prefix, and once --token-prefix '' for "
    "those without",
    Reason.TOKEN_FORM: "tokens that are no hexadecimal digits, or not as many as usual",
    Reason.TOKEN_OF_NO_USER: "tokens of users who are not imported",
    Reason.TOKEN_OF_INACTIVE_USER: "tokens of inactive users, which are not accepted there either",
    Reason.TOKEN_WITHOUT_ORGANIZATION: "tokens of users who belong to no organization",
    Reason.TOKEN_AMBIGUOUS_ORGANIZATION: "tokens of users with several organizations, of which none, or "
    "several, is marked by `tokens`",
    Reason.TOKEN_OF_OLD_KNOX: "tokens of knox 4 in a database of knox 5, which accepts them no more; to have "
    "them accepted again, give --knox-4-tokens",
    Reason.LOGIN_BY_EMAIL: "users log in with their e-mail address from now on, not with their username",
    Reason.PASSWORD_UNUSABLE: "users have no password; to send them a link: nightlatch user reset-password",
    Reason.PASSWORD_ALGORITHM: "users with a password hash that cannot be taken over, and need a link, too",
    Reason.USER_INACTIVE: "users are inactive, and disabled here",
    Reason.USER_WITHOUT_ORGANIZATION: "users belong to no organization, and can log in nowhere",
    Reason.ORGANIZATION_WITHOUT_OWNER: "organizations have no owner: nobody can revoke others' tokens",
    Reason.ENDED_HERE: "tokens and memberships have ended here, or are of users whose password was changed "
    "here or who were disabled here: they do not come back",
    Reason.ENDED_THERE: "imported tokens are gone there since; --follow ends them here",
    Reason.USER_GONE: "imported users are gone there since, or log in there with another address; --follow "
    "disables them here",
    Reason.LAST_OWNER: "users are inactive or gone there and the last owner of an organization here, so that "
    "they are not disabled: give it another owner first",
}

_FOLLOWED: Final = {
    "tokens_ended": "tokens ended",
    "expiries_moved": "expiries moved",
    "users_disabled": "users disabled",
    "passwords_changed": "passwords changed",
}

NOT_CARRIED_OVER: Final = (
    "Not carried over: knox's TOKEN_TTL, AUTO_REFRESH and TOKEN_LIMIT_PER_USER (an organization has its own "
    "time to live and limit), when tokens were last used, and Django's groups, permissions and staff flags."
)


def _answer(report: Report) -> Answer:
    return Answer(_document(report), tuple(_lines(report)))


def _lines(report: Report) -> Iterator[str]:
    yield "This is a dry run: nothing was changed." if report.dry_run else "Imported."
    verb = "would be new" if report.dry_run else "new"
    for what, tally in _tallies(report).items():
        yield f"{what.capitalize()}: {tally.planned}, of which {tally.new} {verb}."
    for key, what in _FOLLOWED.items():
        if report.followed[key]:
            yield f"As there since: {report.followed[key]} {what}."
    left_out = [reason for reason in Reason if reason in report.remarks.counts and reason not in NOTES]
    if left_out:
        yield "Left out:"
        yield from (_remark(report, reason) for reason in left_out)
    notes = [reason for reason in Reason if reason in report.remarks.counts and reason in NOTES]
    if notes or report.over_limit:
        yield "To be known:"
        yield from (_remark(report, reason) for reason in notes)
    refusing = [over for over in report.over_limit if over.policy is LimitPolicy.REFUSE]
    if refusing:
        yield (
            f"  {len(refusing)} organizations have more live tokens than their limit, and give out none "
            f"until they have fewer, or a higher limit: {_named(refusing)}"
        )
    replacing = [over for over in report.over_limit if over.policy is not LimitPolicy.REFUSE]
    if replacing:
        yield (
            f"  {len(replacing)} organizations have more live tokens than their limit, and replace tokens: "
            "the next login ends as many as are too many, unless they get a higher limit before: "
            f"{_named(replacing)}"
        )
    yield NOT_CARRIED_OVER


def _remark(report: Report, reason: Reason) -> str:
    count, named = report.remarks.counts[reason], report.remarks.examples.get(reason, [])
    shown = f": {', '.join(named)}{', …' if count > len(named) else ''}" if named else ""
    return f"  {count} {_SENTENCES[reason]}{shown}"


def _named(organizations: list[OverLimit]) -> str:
    shown = [f"{over.organization_id} ({over.live} of {over.limit})" for over in organizations[:5]]
    return ", ".join(shown) + (", …" if len(organizations) > 5 else "")


def _tallies(report: Report) -> dict[str, Tally]:
    return {
        "organizations": report.organizations,
        "users": report.users,
        "memberships": report.memberships,
        "tokens": report.tokens,
    }


def _document(report: Report) -> dict[str, Any]:
    remarks = [
        {
            "reason": reason,
            "count": report.remarks.counts[reason],
            "examples": report.remarks.examples.get(reason, []),
            "left_out": reason not in NOTES,
        }
        for reason in Reason
        if reason in report.remarks.counts
    ]
    return {
        "service": report.service,
        "dry_run": report.dry_run,
        **{what: {"planned": tally.planned, "new": tally.new} for what, tally in _tallies(report).items()},
        "followed": {key: report.followed[key] for key in _FOLLOWED},
        "remarks": remarks,
        "over_limit": [
            {
                "organization_id": over.organization_id,
                "live": over.live,
                "limit": over.limit,
                "limit_policy": over.policy,
            }
            for over in report.over_limit
        ],
    }
