"""A client that reuses its token: authentication for httpx and requests.

`RequestsTokenAuth` is in nightlatch_client.requests_auth (extra `requests`), what tests need in
nightlatch_client.testing.
"""

from nightlatch_client.auth import TokenAuth
from nightlatch_client.cache import Cache, MemoryCache
from nightlatch_client.clock import Clock, SystemClock
from nightlatch_client.errors import (
    BodyNotRepeatable,
    CacheError,
    LimitReached,
    ListedToken,
    LoginBusy,
    LoginError,
    LoginRefused,
    NightlatchClientError,
    Overloaded,
    PlainHttpRefused,
    Throttled,
    UnexpectedAnswer,
    WrongOrigin,
)
from nightlatch_client.file_cache import FileCache
from nightlatch_client.keyring_cache import KeyringCache
from nightlatch_client.retrying import AsyncRetryingClient, RetryingClient

__all__ = [
    "AsyncRetryingClient",
    "BodyNotRepeatable",
    "Cache",
    "CacheError",
    "Clock",
    "FileCache",
    "KeyringCache",
    "LimitReached",
    "ListedToken",
    "LoginBusy",
    "LoginError",
    "LoginRefused",
    "MemoryCache",
    "NightlatchClientError",
    "Overloaded",
    "PlainHttpRefused",
    "RetryingClient",
    "SystemClock",
    "Throttled",
    "TokenAuth",
    "UnexpectedAnswer",
    "WrongOrigin",
]
