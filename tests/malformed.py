"""Authorization headers that name no live token, whoever is asked."""


def malformed_headers(token: str, ended: str) -> list[str]:
    """Made from a live token, and one that has ended."""
    return [
        "",
        "Token",
        f"Bearer {token}",
        token,
        f"Token {token}x",
        f"Token {token[:-1]}",
        f"Token {token} {token}",
        f"Token {token},Token {token}",
        f"Token \xff{token}",
        f"XXXXX {token}",
        f"Token {ended}",
        "Token " + "x" * 9000,
        "Basic aGFyaTpwYXNz",
    ]
