"""What is let through to anybody."""

from collections.abc import Collection


def public_names(names: Collection[str], option: str) -> frozenset[str]:
    """The names, to be compared exactly. Raises TypeError for a single text, whose letters would be names."""
    if isinstance(names, str):
        raise TypeError(f"{option} is a list of texts, not one text: [{names!r}]")
    return frozenset(names)
