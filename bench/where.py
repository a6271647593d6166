"""Where the time of a request goes, from sampled stacks of the web workers (py-spy's raw format).

A sample counts if its thread was inside a request. It belongs to the innermost frame that some part of the product
claims, so that a wait for the signer counts as HSM and a commit's fsync as database.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The first part whose pattern stands in a frame's file name claims the sample; frames are tried innermost first.
PARTS = (
    ("HSM (signer and its socket)", ("/ca/keys/",)),
    ("database", ("/peewee", "/playhouse/", "/sqlite3/", "/psycopg", "/ca/store/", "/ca/journal/", "tables.py")),
    ("publishing (files)", ("/ca/publish", "/ca/folder")),
    ("validation (fetcher)", ("/acme_server/validation",)),
    ("rules and certificate building", ("/ca/", "/cryptography/")),
    ("JWS, nonces, JSON", ("/acme_server/", "/josepy/", "/web/api/", "/apiflask/", "/msgspec", "/json/", "/pydantic/")),
    ("HTTP (Flask, werkzeug, metrics)", ("/flask/", "/werkzeug/", "/web/", "/prometheus", "/structlog")),
)
STEPS = {"first OCSP answer": "/ca/authority/answers.py", "lint": "/ca/lint/", "CSR": "/ca/csr.py"}
REQUEST = ("wsgi_app (", "/web/app.py", "/flask/app.py")


def explain(stacks: str, result: dict[str, Any]) -> str:
    """A short Markdown list: shares of the sampled time inside requests, and CPU by process."""
    parts, steps = Counter[str](), Counter[str]()
    for frames, samples in _inside_requests(stacks):
        parts[part(frames.split(";"))] += samples
        steps.update({step: samples for step, mark in STEPS.items() if mark in frames})
    total = sum(parts.values()) or 1
    by_process = sorted(result["server_cpu_ms_per_unit_by_process"].items(), key=lambda pair: -pair[1])
    lines = [f"\n{result['kind']} at c = 1: time inside a request ({total} samples)"]
    lines += [f"- {name}: {100 * n / total:.0f} %" for name, n in parts.most_common()]
    lines += [f"- among these, with all below it: {name}: {100 * n / total:.0f} %" for name, n in steps.most_common()]
    lines += [f"CPU for one unit, by process ({result['server_cpu_ms_per_unit']:.1f} ms)"]
    return "\n".join([*lines, *(f"- {ms:.2f} ms: {_short(command)}" for command, ms in by_process)])


def _inside_requests(stacks: str) -> Iterator[tuple[str, int]]:
    for line in stacks.splitlines():
        frames, _, samples = line.rpartition(" ")
        if any(mark in frames for mark in REQUEST):
            yield frames, int(samples)


def _short(command: str) -> str:
    """What tells one process from another in its command line."""
    return command.partition("--only ")[2].split(" ")[0] or command[-60:]


def part(frames: list[str]) -> str:
    """The part that claims a stack, its frames given outermost first."""
    for frame in reversed(frames):
        for name, patterns in PARTS:
            if any(pattern in frame for pattern in patterns):
                return name
    return "Python and the rest"


def web_process(roots: tuple[int, ...]) -> int:
    """The process below the roots that runs the web room."""
    for pid in _below(roots):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"--only" in command and command[command.index(b"--only") + 1] == b"web":
            return pid
    raise LookupError("no web process runs below the server")


def _below(roots: tuple[int, ...]) -> list[int]:
    parents = {int(p.parent.name): _parent(p) for p in Path("/proc").glob("[0-9]*/stat")}
    found = list(roots)
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
