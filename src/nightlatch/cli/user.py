"""Users: add, list, disable and enable them, and set their passwords."""

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
from nightlatch.model.names import OrganizationId, Role, normalize_email, parse_email

users = typer.Typer(
    help="Users: people who log in, to each organization that they are a member of.", no_args_is_help=True
)


@users.command(
    "add",
    epilog="Without --password-stdin and --generate-password, the password is asked for on the terminal.\n\n"
    "Example: nightlatch user add ann@example.com --organization acme --role owner --generate-password",
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
    password_stdin: PasswordStdinOption = False,
    generate_password: GeneratePasswordOption = False,
) -> Answer:
    """Add a user, as a member of an organization or of none yet."""
    from nightlatch.usecases.add_user import add_user

    if role is not None and organization is None:
        raise WrongUse("--role is a role in an organization: give --organization too.")
    organization_id = None if organization is None else OrganizationId(organization)
    role = None if organization is None else role or Role.MEMBER
    session = call.session()
    parse_email(email)  # before anybody types a password in vain
    password = new_password(password_stdin, generate_password)
    added = session.run(add_user, email, password.text, organization_id, role or Role.MEMBER)
    place = "" if organization is None else f" as {role} of '{organization}'"
    return Answer(
        user_document(added)
        | {"organization_id": organization_id, "role": role, "password": password.to_print},
        (f"Added user '{added.email}'{place}.", *_password_line(password)),
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
    """Set a user's password; all their tokens end."""
    from nightlatch.usecases import set_password as use_case

    session = call.session()
    password = new_password(password_stdin, generate_password)
    ended = session.run(use_case.set_password, email, password.text)
    known = normalize_email(email)
    return Answer(
        {"email": known, "password": password.to_print, "ended_tokens": ended_ids(ended)},
        (f"User '{known}' has a new password. {ended_sentence(ended)}", *_password_line(password)),
    )


def _password_line(password: NewPassword) -> tuple[str, ...]:
    return (f"Password: {password.text}",) if password.generated else ()
