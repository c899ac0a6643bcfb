"""Imports point down: app, cli -> edge -> usecases -> hot, guard, fresh, store -> model, clock."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "nightlatch"

# What a layer may import, and why nothing else.
ALLOWED = {
    "model": set(),  # values and errors: standard library only
    "clock": set(),
    "version": set(),
    "counts": set(),  # plain numbers, for whoever counts
    "spans": set(),  # what a trace shows; that there is OpenTelemetry, traces alone knows
    "settings": {"model"},
    "log": {"settings"},
    "store": {"counts", "model", "spans", "version"},  # SQL lives here only, and knows no HTTP
    "guard": {"model", "spans"},
    "hot": {"model"},  # no SQL, no clock but the one that currency holds
    "fresh": {
        "clock",
        "counts",
        "hot",
        "model",
        "spans",
        "store",
    },  # changes flow from the store up into memory
    "usecases": {"counts", "model", "store", "guard", "hot", "fresh"},  # no bytes, no status codes
    "edge": {"counts", "model", "spans", "usecases", "hot"},  # knows no SQL
    "console": {"edge", "model", "usecases"},  # pages: knows no SQL
    "mail": {"clock", "model", "settings"},  # knows SMTP, and nothing of what it sends
    "traces": {"model", "spans", "version"},
    "metrics": {"counts", "log", "usecases"},
    "second_port": {"model", "settings"},
    "background": {"hot", "metrics", "model", "store", "usecases"},
    "app": {"clock", "counts", "fresh", "guard", "hot", "model", "settings", "spans", "store", "usecases"},
    # The same memory in another program's process: no edge, no passwords.
    "verifier": {"app", "background", "hot", "model", "settings", "store", "usecases"},
    # In front of an API: a framework is imported by its own module only.
    "middleware": {"model", "verifier"},
    "doctor": {"app", "clock", "mail", "model", "server", "settings", "store"},  # looks, and changes nothing
    "server": {
        "app",
        "background",
        "console",
        "edge",
        "log",
        "mail",
        "metrics",
        "model",
        "second_port",
        "settings",
        "store",
        "traces",
        "version",
    },
    "cli": {"app", "clock", "doctor", "log", "model", "server", "settings", "store", "usecases", "version"},
    "__main__": {"cli"},
    "__init__": set(),
}


def _imported(file: Path) -> set[str]:
    """Parts of nightlatch that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nightlatch"):
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("nightlatch.")
            }
    return names


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_down(file: Path) -> None:
    layer = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert _imported(file) - {layer} <= ALLOWED[layer]


@pytest.mark.parametrize("file", sorted((SOURCE / "model").rglob("*.py")), ids=lambda file: file.name)
def test_the_model_needs_the_standard_library_only(file: Path) -> None:
    import sys

    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            top = module.split(".")[0]
            assert top == "nightlatch" or top in sys.stdlib_module_names


def test_sql_is_written_in_the_store_only() -> None:
    for file in SOURCE.rglob("*.py"):
        if "store" not in file.relative_to(SOURCE).parts:
            text = file.read_text("utf-8")
            assert "from sqlalchemy import" not in text, file
            assert ".execute(" not in text, file
