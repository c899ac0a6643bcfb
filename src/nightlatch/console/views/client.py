"""Which program a user agent stands for, in two or three words."""

import re
from typing import Final

_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
"""The first that is found: each of these names the ones below it as well."""
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_PRODUCT: Final = re.compile(r"([^\s/()]{1,40})(?:/v?(\d+(?:\.\d+)?))?")


def client_name(user_agent: str | None) -> str:
    """As much of it as helps to recognise the program: "curl 8.5", "Firefox 140, Linux"; empty for none."""
    text = (user_agent or "").strip()
    if text.startswith("Mozilla/"):
        for mark, browser in _BROWSERS:
            version = re.search(re.escape(mark) + r"(\d+)", text)
            if version is not None:
                system = next((name for found, name in _SYSTEMS if found in text), "")
                return f"{browser} {version[1]}" + (f", {system}" if system else "")
    product = _PRODUCT.match(text)
    if product is None:
        return text[:40]
    return f"{product[1]} {product[2]}" if product[2] else product[1]
