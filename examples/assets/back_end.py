"""Where the middleware asks: the server at NIGHTLATCH_URL, or the database NIGHTLATCH_DATABASE_URL itself."""

import os

from nightlatch.middleware.in_process import InProcess
from nightlatch.middleware.over_http import OverHttp
from nightlatch.middleware.question import BackEnd


def back_end() -> BackEnd:
    if url := os.environ.get("NIGHTLATCH_URL"):
        return OverHttp(url)
    return InProcess(os.environ["NIGHTLATCH_DATABASE_URL"])
