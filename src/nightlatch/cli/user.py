"""nightlatch user …"""

from typing import Annotated

import typer

from nightlatch.cli.output import Json, ended_shape, print_json, print_sentence, print_table, user_shape
from nightlatch.cli.password import GeneratePassword, PasswordStdin, read_password
from nightlatch.cli.session import run_use_case
from nightlatch.model.names import OrganizationId, Role

app = typer.Typer(no_args_is_help=True, help="Add, show, disable and enable users.")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's e-mail address.")]


@app.command(
    epilog="Example: nightlatch user add hari@example.com --organization auhf2k --role owner --password-stdin"
)
def add(
    context: typer.Context,
    email: Email,
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="Make them a member of this organization.")
    ] = None,
    role: Annotated[Role, typer.Option(help="What they may do in it.")] = Role.MEMBER,
    password_stdin: PasswordStdin = False,
    generate_password: GeneratePassword = False,
    as_json: Json = False,
) -> None:
    """Add a user. Asks for a password unless told where to take it from."""
    from nightlatch.usecases.add_user import add_user

    password = read_password(password_stdin, generate_password)
    organization_id = None if organization is None else OrganizationId(organization)
    user = run_use_case(context, add_user, email, password, organization_id, role)
    shown = {"password": password} if generate_password else {}
    if as_json:
        print_json(user_shape(user) | shown)
        return
    print_sentence(f"Added user {user.email}.")
    if generate_password:
        print_sentence(f"Password, shown this once: {password}")


@app.command("list")
def list_command(context: typer.Context, as_json: Json = False) -> None:
    """List the users."""
    from nightlatch.usecases.show_users import show_users

    shapes = [user_shape(user) for user in run_use_case(context, show_users)]
    if as_json:
        print_json(shapes)
    else:
        print_table(shapes, "There is no user. Add one: nightlatch user add EMAIL")


@app.command()
def disable(context: typer.Context, email: Email, as_json: Json = False) -> None:
    """End all tokens of a user, and let them log in nowhere. Not the last owner of an organization."""
    from nightlatch.usecases.disable_user import disable_user

    user, ended = run_use_case(context, disable_user, email)
    if as_json:
        print_json(user_shape(user) | {"ended_tokens": ended_shape(ended)})
    else:
        print_sentence(f"Disabled user {user.email}; {len(ended)} tokens ended.")


@app.command()
def enable(context: typer.Context, email: Email, as_json: Json = False) -> None:
    """Let a disabled user log in again. Their old tokens stay ended."""
    from nightlatch.usecases.disable_user import enable_user

    user = run_use_case(context, enable_user, email)
    if as_json:
        print_json(user_shape(user))
    else:
        print_sentence(f"Enabled user {user.email}.")


@app.command("set-password")
def set_password_command(
    context: typer.Context,
    email: Email,
    password_stdin: PasswordStdin = False,
    generate_password: GeneratePassword = False,
    as_json: Json = False,
) -> None:
    """Set a user's password; ends all their tokens."""
    from nightlatch.usecases.set_password import set_password

    password = read_password(password_stdin, generate_password)
    ended = run_use_case(context, set_password, email, password)
    shown = {"password": password} if generate_password else {}
    if as_json:
        print_json({"ended_tokens": ended_shape(ended)} | shown)
        return
    print_sentence(f"Set the password; {len(ended)} tokens ended.")
    if generate_password:
        print_sentence(f"Password, shown this once: {password}")
