"""`certwright doctor`: everything that can be wrong with an installation, and what to do about each thing.

The checks themselves are a table in `cli.checks`.
"""

from cli.output import answer, paint
from cli.session import Session, command


@command()
def doctor(session: Session) -> int:
    """Checks configuration, database, disk, signer, token, doors, freshness and the journal.

    Every line is ok, warn or fail, with the next step. Exit code 1 when anything fails.
    """
    from ca import logs
    from cli.checks import examine

    logs.configure("cli", level="CRITICAL")
    findings = examine(session.config_path)
    failed = any(one.level == "fail" for one in findings)
    shape = {
        "ok": not failed,
        "checks": [
            {"name": one.name, "level": one.level, "detail": one.detail, "next_step": one.next_step} for one in findings
        ],
    }
    width = max(len(one.name) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{paint(one.level)}{' ' * (5 - len(one.level))} {one.name.ljust(width)}  {one.detail}")
        if one.next_step:
            lines.append(f"      {' ' * width}  next: {one.next_step}")
    answer(session, shape, "\n".join(lines))
    return 1 if failed else 0
