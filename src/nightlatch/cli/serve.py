"""nightlatch serve"""

from pathlib import Path
from typing import Annotated

import typer

from nightlatch.cli.session import settings_of


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.  [default: 8000]")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes.  [default: 1]")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file with the certificate chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM file with its key.")] = None,
) -> None:
    """Serve the API until interrupted. An empty SQLite file gets its tables first."""
    from nightlatch.server import serve as run_server

    settings = settings_of(
        context,
        host=host,
        port=port,
        workers=workers,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
    )
    raise typer.Exit(run_server(settings))
