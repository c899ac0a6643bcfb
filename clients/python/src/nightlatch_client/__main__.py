"""`python -m nightlatch_client` is the `nightlatch-client` command."""

from nightlatch_client.cli import run

if __name__ == "__main__":
    run()
