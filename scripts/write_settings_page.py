"""Write docs/settings.md from the settings themselves: python scripts/write_settings_page.py"""

from pathlib import Path

from pydantic import SecretStr

from nightlatch.settings import VARIABLE_PREFIX, Settings

HEAD = """# Settings

Each setting has one name, in three places: a flag of the command (where the command has it), a
variable, a key of a TOML file given with `--config FILE`. A flag wins over a variable, a variable over
the file, the file over the default. A setting that is unknown or wrong stops the start, with its name
and what is allowed; nothing has been opened by then.

Passwords belong into the variable or the file, not into a flag: other people on a machine can see
the flags of a process.

This page is written by `python scripts/write_settings_page.py`; a test compares it with the code.

| setting | variable | default | what it is |
|---|---|---|---|
"""


def shown(value: object) -> str:
    """A default as it is written in a table."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    if isinstance(value, bool):
        value = str(value).lower()  # as TOML has it
    return "none" if value is None else f"`{value}`"


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{name}` | `{VARIABLE_PREFIX}{name.upper()}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "settings.md").write_text(page(), "utf-8")
