"""A trivial view on each framework, guarded by its middleware or, without a back end, by nothing."""

import os
from typing import Final

from nightlatch.middleware.in_process import InProcess
from nightlatch.middleware.over_http import OverHttp
from nightlatch.middleware.question import BackEnd

URL: Final = "BENCH_GUARDED_URL"
DATABASE_URL: Final = "BENCH_GUARDED_DATABASE_URL"
PATH: Final = "/who/"


def back_end() -> BackEnd | None:
    """As the environment says; None: the bare framework."""
    if url := os.environ.get(URL):
        return OverHttp(url)
    if database_url := os.environ.get(DATABASE_URL):
        return InProcess(database_url)
    return None
