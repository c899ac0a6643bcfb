"""The lease: how long a process may answer from memory after it has read what changed."""

from typing import Annotated

import typer

from nightlatch.cli.command import Call, command
from nightlatch.cli.output import Answer
from nightlatch.model.records import LeaseRecord

lease = typer.Typer(
    help="The lease on PostgreSQL: the longest a logout takes, the longest memory outlives the database.",
    no_args_is_help=True,
)


@lease.command("show")
@command
def show(call: Call) -> Answer:
    """Show the lease, in milliseconds."""
    from nightlatch.usecases.change_lease import show_lease

    return _shown(call.session().run(show_lease))


@lease.command("set", epilog="Example: nightlatch lease set 500")
@command
def set_to(
    call: Call,
    milliseconds: Annotated[
        int,
        typer.Argument(
            metavar="MILLISECONDS",
            help="50 to 10000, or 0: then each request reads the database, and a logout is in force at once.",
        ),
    ],
) -> Answer:
    """Change the lease, for all nodes, while they run."""
    from nightlatch.usecases.change_lease import change_lease

    return _shown(call.session().run(change_lease, milliseconds))


def _shown(found: LeaseRecord) -> Answer:
    document = {
        "lease_milliseconds": found.milliseconds,
        "lease_waited_milliseconds": found.waited_milliseconds,
    }
    lines = [f"The lease is {found.milliseconds} ms."]
    if found.waited_milliseconds > found.milliseconds:
        lines.append(
            f"Revocations still wait for {found.waited_milliseconds} ms: lowering it was interrupted. "
            f"To finish: nightlatch lease set {found.milliseconds}"
        )
    return Answer(document, tuple(lines))
