"""The commands."""

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nightlatch_client.auth import TokenAuth
from nightlatch_client.cache import Cache
from nightlatch_client.cli.failure import Failed, complain, complain_of_bug, printable
from nightlatch_client.cli.passwords import password_of, remember_password
from nightlatch_client.cli.profiles import Profile, get_profile, load_profiles, save_profile
from nightlatch_client.cli.progress import noted
from nightlatch_client.errors import (
    LimitReached,
    ListedToken,
    LoginError,
    NightlatchClientError,
    WrongOrigin,
)
from nightlatch_client.file_cache import FileCache
from nightlatch_client.keyring_cache import KeyringCache
from nightlatch_client.origin import origin_of, refuse_plain_http
from nightlatch_client.retrying import RetryingClient

_PATIENCE_SECONDS: Final = 15.0
_PIPE_COLUMNS: Final = 100_000

application = typer.Typer(
    name="nightlatch-client",
    help="Logs in to Nightlatch, or a service like it, and reuses the token.",
    epilog='Example: curl -H "Authorization: Token $(nightlatch-client token)" https://api.example.com/…',
    no_args_is_help=True,
    # Typer's own traceback shows the values of variables, passwords among them.
    pretty_exceptions_enable=False,
)


def _profile_names(incomplete: str) -> Iterable[str]:
    """For the shell's completion."""
    try:
        return sorted(name for name in load_profiles() if name.startswith(incomplete))
    except Failed:
        return []


ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        envvar="NIGHTLATCH_CLIENT_PROFILE",
        help="Which profile.",
        autocompletion=_profile_names,
    ),
]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document to standard output.")]


def _auth(profile: Profile, from_stdin: bool = False) -> TokenAuth:
    cache: Cache = KeyringCache() if profile.cache == "keyring" else FileCache()
    return TokenAuth(
        profile.url,
        profile.username,
        password_of(profile, from_stdin),
        profile.organization_id,
        origins=profile.origins,
        cache=cache,
        client=lambda: RetryingClient(patience=_PATIENCE_SECONDS),
        plain_http=profile.plain_http,
        patience=_PATIENCE_SECONDS,
    )


@application.command("login")
def login(
    profile: ProfileOption = "default",
    url: Annotated[str, typer.Option(help="Where the service is, such as https://auth.example.com.")] = "",
    username: Annotated[str, typer.Option(help="The e-mail address.")] = "",
    organization: Annotated[str, typer.Option(help="The organization id.")] = "",
    api: Annotated[
        list[str] | None, typer.Option(help="An origin that `request` may send the token to; repeatable.")
    ] = None,
    password_stdin: StdinOption = False,
    remember: Annotated[bool, typer.Option(help="Keep the password in the system's keyring.")] = False,
    keyring: Annotated[bool | None, typer.Option(help="Keep the token in the system's keyring.")] = None,
    plain_http: Annotated[bool | None, typer.Option(help="Allow http:// to other machines.")] = None,
) -> None:
    """Log in, and keep who and where in the profile. A token that is there is replaced, and ended."""
    known = load_profiles().get(profile)
    if known is None and not (url and username and organization):
        raise Failed(f"There is no profile '{profile}' yet: give --url, --username and --organization.", 2)
    old = known or Profile(url, username, organization)
    if url and url.rstrip("/") != old.url.rstrip("/"):
        # What was allowed was about the other service.
        old = replace(old, origins=(), plain_http=False)
    chosen = Profile(
        url or old.url,
        username or old.username,
        organization or old.organization_id,
        tuple(str(origin_of(one)) for one in api) if api else old.origins,
        old.cache if keyring is None else ("keyring" if keyring else "file"),
        old.plain_http if plain_http is None else plain_http,
    )
    auth = _auth(chosen, password_stdin)
    with noted(f"Logging in at {chosen.url}"):
        auth.log_in()
    save_profile(profile, chosen)
    if remember:
        remember_password(chosen, auth._service.fetch_password().reveal())
    typer.echo(printable(f"Logged in to {chosen.organization_id} as {chosen.username}."))


@application.command("logout")
def logout(
    profile: ProfileOption = "default",
    everywhere: Annotated[
        bool, typer.Option("--all", help="End all of the user's tokens in the organization.")
    ] = False,
) -> None:
    """End the token for good, for all programs that share it."""
    chosen = get_profile(profile)
    with noted(f"Logging out at {chosen.url}"):
        done = _auth(chosen).log_out(everywhere)
    typer.echo("Logged out." if done else "There was no token.")


@application.command("token")
def token(profile: ProfileOption = "default", password_stdin: StdinOption = False) -> None:
    """Print a token that can be used now, for scripts; logs in if need be."""
    chosen = get_profile(profile)
    with noted(f"Logging in at {chosen.url}"):
        text = _auth(chosen, password_stdin).token()
    typer.echo(text)


@application.command("whoami")
def whoami(profile: ProfileOption = "default", json_: JsonOption = False) -> None:
    """Tell who the profile is, and ask the service whose token it has."""
    chosen = get_profile(profile)
    auth = _auth(chosen)
    with noted(f"Asking {chosen.url}"), RetryingClient(patience=_PATIENCE_SECONDS, auth=auth) as client:
        response = client.get(f"{auth._service.url}api/auth/verify/")
    found = {"url": chosen.url, "username": chosen.username, "organization_id": chosen.organization_id}
    if response.status_code == 200:
        names = {"role": "X-Auth-Role", "token_id": "X-Auth-Token-Id", "expiry": "X-Auth-Expiry"}
        found |= {name: response.headers.get(header, "") for name, header in names.items()}
    elif response.status_code == 401:
        raise Failed("The service refuses the token.")
    elif response.status_code >= 500:
        raise Failed(f"The service answered with status {response.status_code}.")
    if json_:
        typer.echo(json.dumps(found))
    else:
        _print_table(("", ""), [(name, value) for name, value in found.items() if value])


@application.command("tokens")
def tokens(
    profile: ProfileOption = "default", password_stdin: StdinOption = False, json_: JsonOption = False
) -> None:
    """List the live tokens. Uses no token: asks with the password if there is none."""
    chosen = get_profile(profile)
    auth = _auth(chosen, password_stdin)
    with noted(f"Asking {chosen.url}"):
        listed = auth.list_tokens()
    if json_:
        names = ListedToken.__dataclass_fields__
        typer.echo(json.dumps([{name: getattr(one, name) for name in names} for one in listed]))
    else:
        _print_tokens(listed, sys.stdout)


@application.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(help="The id of a token, as `tokens` lists it.")],
    profile: ProfileOption = "default",
    password_stdin: StdinOption = False,
) -> None:
    """End a token by its id. Uses no token: asks with the password if there is none."""
    chosen = get_profile(profile)
    with noted(f"Asking {chosen.url}"):
        done = _auth(chosen, password_stdin).revoke(token_id)
    if not done:
        raise Failed("The service knows no live token of that id.")
    typer.echo("Revoked.")


@application.command("request")
def request(
    method: Annotated[str, typer.Argument(help="GET, POST, …")],
    url: Annotated[str, typer.Argument(help="https://…")],
    profile: ProfileOption = "default",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="'Name: value'; repeatable.")
    ] = None,
    data: Annotated[
        str,
        typer.Option("--data", "-d", help="The body; @FILE reads it from a file, @- from standard input."),
    ] = "",
    password_stdin: StdinOption = False,
) -> None:
    """Send a request with the token; the body goes to standard output, the status to standard error."""
    chosen = get_profile(profile)
    if password_stdin and data == "@-":
        raise Failed("--password-stdin and --data @- both read standard input.", 2)
    headers = []
    for line in header or ():
        name, colon, value = line.partition(":")
        if not colon:
            raise Failed("--header is to be 'Name: value'.", 2)
        headers.append((name.strip(), value.strip()))
    content = _content(data)
    with (
        noted(f"Waiting for {origin_of(url)}"),
        RetryingClient(auth=_auth(chosen, password_stdin), patience=_PATIENCE_SECONDS, timeout=60) as client,
    ):
        response = client.request(method.upper(), url, headers=headers, content=content)
    sys.stdout.buffer.write(response.content)
    sys.stdout.buffer.flush()
    sys.stderr.write(printable(f"{response.status_code} {response.reason_phrase}") + "\n")
    if response.status_code >= 400:
        raise typer.Exit(1)


def _content(data: str) -> bytes | None:
    if not data:
        return None
    if data == "@-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise Failed(f"{data[1:]} cannot be read: {error.strerror}.", 2) from None
    return data.encode()


@application.command("conformance")
def conformance(
    url: Annotated[str, typer.Argument(help="Where the service is.")],
    username: Annotated[str, typer.Option(help="A user made for this.")],
    organization: Annotated[str, typer.Option(help="The user's organization.")],
    other_organization: Annotated[
        str, typer.Option(help="An organization that the user does not belong to.")
    ] = "",
    password_stdin: StdinOption = False,
    disruptive: Annotated[
        bool,
        typer.Option(
            "--disruptive", help="Also fill the organization's tokens up, and end all of the user's."
        ),
    ] = False,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Allow http:// to other machines.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Put the contract's cases to a service; exit code 1 if an answer is another than the contract's."""
    from nightlatch_client.conformance.kit import Kit

    refuse_plain_http(origin_of(url), plain_http)
    password = password_of(Profile(url, username, organization), password_stdin)()
    kit = Kit(url, username, organization, password, other_organization, disruptive, plain_http)
    results = []
    for result in kit.run():
        results.append(result)
        if not json_:
            why = f": {result.why}" if result.why else ""
            typer.echo(printable(f"{result.outcome}  {result.name}{why}"))
    counts = {kind: sum(one.outcome == kind for one in results) for kind in ("pass", "fail", "skip")}
    if json_:
        cases = [{"name": one.name, "outcome": one.outcome, "why": one.why} for one in results]
        typer.echo(json.dumps({**counts, "cases": cases}))
    else:
        typer.echo(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    raise typer.Exit(1 if counts["fail"] else 0)


def _print_table(headers: tuple[str, ...], rows: Iterable[tuple[str, ...]], file: Any = None) -> None:
    stream = file or sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    table = Table(box=None, show_header=any(headers), pad_edge=False, header_style="bold")
    for name in headers:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def _print_tokens(listed: Iterable[ListedToken], file: Any) -> None:
    rows = [(one.id, one.name, one.user, one.created, one.expiry, one.last_used) for one in listed]
    _print_table(("id", "name", "user", "created", "expiry", "last used"), rows, file)


def run_command() -> None:
    """The command; ends the process with its exit code."""
    code: Any = 0
    try:
        code = application(prog_name="nightlatch-client", standalone_mode=False)
    except typer.Abort:
        complain("Aborted.")
        code = 130
    except typer.TyperException as error:
        if "unexpected extra argument" in error.message:
            error.message = "There is an argument too many. It is not repeated here: it may be a password."
        show = getattr(error, "show", None)
        complain(error.format_message()) if show is None else show()
        code = error.exit_code
    except Failed as error:
        complain(str(error))
        code = error.code
    except LimitReached as error:
        complain(str(error))
        if error.tokens:
            _print_tokens(error.tokens, sys.stderr)
            complain("End one: nightlatch-client revoke ID")
        code = 1
    except WrongOrigin as error:
        complain(f"{error} On the command line: nightlatch-client login --api https://…")
        code = 1
    except LoginError as error:
        complain(str(error))
        code = 1
    except (NightlatchClientError, ValueError) as error:
        complain(str(error))
        code = 1 if isinstance(error, NightlatchClientError) else 2
    except httpx.HTTPError as error:
        # httpx's messages name the reason and the URL, and no header or body.
        complain(f"No answer: {type(error).__name__}: {error}")
        code = 1
    except OSError as error:
        complain(f"{type(error).__name__}: {error.strerror or 'no reason given'}")
        code = 1
    except Exception as error:
        complain_of_bug(error)
        code = 1
    sys.exit(code or 0)
