"""Serve the API."""

from pathlib import Path
from typing import Annotated

import typer

from nightlatch.cli.command import Call, command


@command
def serve(
    call: Call,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8000")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of server processes.", show_default="1")] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM file with the certificate chain; needs --tls-key."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file with the certificate's private key.")
    ] = None,
) -> None:
    """Serve the API until SIGINT or SIGTERM.

    An SQLite file that does not exist is created; for PostgreSQL run nightlatch migrate first.
    """
    from nightlatch import server

    settings = call.settings(
        host=host, port=port, workers=workers, tls_certificate=tls_certificate, tls_key=tls_key
    )
    raise typer.Exit(server.serve(settings))
