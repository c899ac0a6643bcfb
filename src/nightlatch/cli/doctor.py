"""Look an installation through."""

from typing import TYPE_CHECKING

from nightlatch.cli.command import Call, command
from nightlatch.cli.output import Answer
from nightlatch.model.errors import CannotStart

if TYPE_CHECKING:
    from nightlatch.doctor.finding import Finding


@command
def doctor(call: Call) -> Answer:
    """Check settings, database and machine, and say what to do. Exit code 1 if there is a problem.

    Safe to run at any time, beside servers too; best as the user that serves, with its settings.
    """
    import asyncio

    from nightlatch.clock import SystemClock
    from nightlatch.doctor.examine import examine
    from nightlatch.doctor.finding import ok, problem
    from nightlatch.log import configure_logging

    try:
        settings = call.settings()
    except CannotStart as error:
        advice = "Correct it. docs/settings.md has every setting."
        return _answer([problem("settings", line, advice) for line in error.public.split("\n")])
    configure_logging(settings)
    return _answer([ok("settings", "valid"), *asyncio.run(examine(settings, SystemClock()))])


def _answer(findings: "list[Finding]") -> Answer:
    worst = "ok"
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:<8} {finding.check}: {finding.found}")
        if finding.advice is not None:
            lines.append(f"{'':<8} -> {finding.advice}")
    for verdict in ("warning", "problem"):
        worst = verdict if any(finding.verdict == verdict for finding in findings) else worst
    document = {
        "verdict": worst,
        "checks": [
            {
                "check": finding.check,
                "verdict": str(finding.verdict),
                "found": finding.found,
                "advice": finding.advice,
            }
            for finding in findings
        ],
    }
    return Answer(document, tuple(lines), exit_code=1 if worst == "problem" else 0)
