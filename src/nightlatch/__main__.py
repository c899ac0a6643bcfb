"""`python -m nightlatch` is the `nightlatch` command."""

from nightlatch.cli.main import run

if __name__ == "__main__":
    run()
