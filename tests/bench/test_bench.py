"""bench/ stays runnable: its scripts start, and its arithmetic holds. Nothing is measured here."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_it_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, BENCH / "run.py", "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "--rounds" in done.stdout
    assert "--rounds" in (BENCH / "README.md").read_text()


@pytest.fixture
def where(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(BENCH))
    import where

    return where


def test_time_belongs_to_the_innermost_part(where: object) -> None:
    frames = [
        "thread (granian/wsgi.py:1)",
        "wsgi_app (site-packages/flask/app.py:1)",
        "issue (/x/ca/authority/issue.py:9)",
        "sign (/x/ca/keys/client.py:2)",
        "recv (socket.py:3)",
    ]
    assert where.part(frames) == "HSM (signer and its socket)"
    assert where.part(frames[:3]) == "rules and certificate building"
    assert where.part(frames[:2]) == "HTTP (Flask, werkzeug, metrics)"


def test_only_requests_are_counted(where: object) -> None:
    stacks = "idle (threading.py:1) 900\nwsgi_app (flask/app.py:1);execute_sql (site-packages/peewee.py:2) 30\n"
    figures = {"kind": "csr", "server_cpu_ms_per_unit": 3.0, "server_cpu_ms_per_unit_by_process": {"signer": 1.0}}
    said = where.explain(stacks, figures)
    assert "database: 100 %" in said
    assert "1.00 ms: signer" in said
