"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """A warning is for the operator to decide on; a problem breaks a promise, or keeps it from being kept."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` says what is, `advice` what to do about it; None where nothing has to be done."""

    check: str
    verdict: Verdict
    found: str
    advice: str | None = None


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """It works, and may be meant so."""
    return Finding(check, Verdict.WARNING, found, advice)


def problem(check: str, found: str, advice: str) -> Finding:
    """It does not work, or does not hold what is promised."""
    return Finding(check, Verdict.PROBLEM, found, advice)
