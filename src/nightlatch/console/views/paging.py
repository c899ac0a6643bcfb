"""Pages of a list."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageLink:
    """Which page is shown, and the pages around it; None where there is none."""

    page: int
    pages: int
    previous: str | None
    following: str | None


def page_link(page: int, pages: int, url: Callable[[int], str]) -> PageLink:
    """The page's place; `url` tells where a page is."""
    return PageLink(
        page=page,
        pages=pages,
        previous=url(page - 1) if page > 1 else None,
        following=url(page + 1) if page < pages else None,
    )


def read_page(text: str) -> int:
    """The number of a page; what is unusable is the first."""
    return max(1, int(text)) if len(text) <= 6 and text.isascii() and text.isdigit() else 1
