"""Users: add, list, disable and enable them; links to set passwords, and passwords."""

from typing import Annotated

import typer

from nightlatch.cli.arguments import EmailArgument, OptionalOrganizationOption
from nightlatch.cli.command import Call, command
from nightlatch.cli.documents import ended_ids, ended_sentence, user_document
from nightlatch.cli.failure import WrongUse
from nightlatch.cli.output import Answer, Table, short_time
from nightlatch.cli.password import (
    GeneratePasswordOption,
    NewPassword,
    PasswordStdinOption,
    new_password,
)
from nightlatch.cli.password_link import (
    ValidForOption,
    link_document,
    link_lines,
    link_url,
    read_valid_for,
)
from nightlatch.model.names import OrganizationId, Role, normalize_email

users = typer.Typer(
    help="Users: people who log in, to each organization that they are a member of.", no_args_is_help=True
)


@users.command(
    "add",
    epilog="Prints a link with which they set a password, unless one is given or generated.\n\n"
    "Example: nightlatch user add ann@example.com --organization acme --role owner",
)
@command
def add(
    call: Call,
    email: EmailArgument,
    organization: OptionalOrganizationOption = None,
    role: Annotated[
        Role | None,
        typer.Option(
            help="What the user may do there: an owner acts for the whole organization, a member for "
            "themselves.",
            show_default="member",
        ),
    ] = None,
    valid_for: ValidForOption = None,
    password_stdin: PasswordStdinOption = False,
    generate_password: GeneratePasswordOption = False,
) -> Answer:
    """Add a user, as a member of an organization or of none yet."""
    from nightlatch.usecases.add_user import add_user, add_user_with_link

    if role is not None and organization is None:
        raise WrongUse("--role is a role in an organization: give --organization too.")
    organization_id = None if organization is None else OrganizationId(organization)
    role = None if organization is None else role or Role.MEMBER
    given = password_stdin or generate_password
    if given and valid_for is not None:
        raise WrongUse("--valid-for is about a link; with a password there is none.")
    session = call.session()
    if given:
        password = new_password(password_stdin, generate_password, session.settings.password_length_min)
        added = session.run(add_user, email, password.text, organization_id, role or Role.MEMBER)
        to_print, lines = password.to_print, _password_line(password)
        link_keys = link_document(None, None)
    else:
        added, link = session.run(
            add_user_with_link, email, organization_id, role or Role.MEMBER, read_valid_for(valid_for)
        )
        url = link_url(link, session.settings)
        to_print, lines = None, link_lines(link, url)
        link_keys = link_document(link, url)
    place = "" if organization is None else f" as {role} of '{organization}'"
    return Answer(
        user_document(added)
        | {"organization_id": organization_id, "role": role, "password": to_print}
        | link_keys,
        (f"Added user '{added.email}'{place}.", *lines),
    )


@users.command("list")
@command
def list_all(call: Call) -> Answer:
    """List all users."""
    from nightlatch.usecases.show_users import show_users

    found = call.session().run(show_users)
    document = [user_document(user) for user in found]
    if not found:
        return Answer(document, ("There are no users. To add one: nightlatch user add EMAIL",))
    rows = [(user.email, short_time(user.created), short_time(user.disabled, "no")) for user in found]
    return Answer(document, Table(("E-mail", "Created (UTC)", "Disabled (UTC)"), rows))


@users.command("disable")
@command
def disable(call: Call, email: EmailArgument) -> Answer:
    """Disable a user everywhere: their tokens end, and they can log in nowhere."""
    from nightlatch.usecases.disable_user import disable_user

    user, ended = call.session().run(disable_user, email)
    return Answer(
        user_document(user) | {"ended_tokens": ended_ids(ended)},
        (f"User '{user.email}' is disabled. {ended_sentence(ended)}",),
    )


@users.command("enable")
@command
def enable(call: Call, email: EmailArgument) -> Answer:
    """Let a disabled user log in again; tokens that ended stay so."""
    from nightlatch.usecases.disable_user import enable_user

    user = call.session().run(enable_user, email)
    return Answer(user_document(user), (f"User '{user.email}' is enabled.",))


@users.command(
    "reset-password", epilog="Example: nightlatch user reset-password ann@example.com --valid-for 2h"
)
@command
def reset_password(call: Call, email: EmailArgument, valid_for: ValidForOption = None) -> Answer:
    """Print a link with which a user sets a new password; until then nothing changes for them."""
    from nightlatch.usecases.issue_password_link import issue_password_link

    session = call.session()
    link = session.run(issue_password_link, email, read_valid_for(valid_for))
    url = link_url(link, session.settings)
    return Answer({"email": link.email} | link_document(link, url), link_lines(link, url))


@users.command(
    "set-password",
    epilog="Without --password-stdin and --generate-password, the password is asked for on the terminal.\n\n"
    "Example: nightlatch user set-password ann@example.com --password-stdin < password-file",
)
@command
def set_password(
    call: Call,
    email: EmailArgument,
    password_stdin: PasswordStdinOption = False,
    generate_password: GeneratePasswordOption = False,
) -> Answer:
    """Set a user's password for them; all their tokens end. reset-password lets them set it themselves."""
    from nightlatch.usecases import set_password as use_case

    session = call.session()
    password = new_password(password_stdin, generate_password, session.settings.password_length_min)
    ended = session.run(use_case.set_password, email, password.text)
    known = normalize_email(email)
    return Answer(
        {"email": known, "password": password.to_print, "ended_tokens": ended_ids(ended)},
        (f"User '{known}' has a new password. {ended_sentence(ended)}", *_password_line(password)),
    )


def _password_line(password: NewPassword) -> tuple[str, ...]:
    return (f"Password: {password.text}",) if password.generated else ()
