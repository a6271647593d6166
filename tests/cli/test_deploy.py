"""The units for systemd start what exists, one for each process, and systemd itself finds nothing wrong with them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli import main
from cli.processes import KINDS

ROOT = Path(__file__).parents[2]
UNITS = {path.name: path.read_text() for path in (ROOT / "deploy" / "systemd").iterdir()}
SERVICES = sorted(name for name in UNITS if name.endswith(".service"))


def started(unit: str) -> list[str]:
    [line] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *words = line.split()
    assert program == "/opt/certwright/certwright"
    return words


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_started_exists(name):
    words = started(UNITS[name])
    command = words[0] if words[0] in main.COMMANDS else " ".join(words[:2])
    made = main.load(command.split()[-1], *main.COMMANDS[command])
    options = {word for parameter in made.params for word in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_each_process_has_its_unit_and_the_target_wants_them_all():
    alone = {words[2]: name for name in SERVICES if (words := started(UNITS[name]))[:2] == ["serve", "--only"]}
    assert set(alone) == set(KINDS)
    assert set(alone.values()) == set(re.findall(r"certwright-\w+\.service", UNITS["certwright.target"]))


def test_only_the_signer_gets_the_pin():
    assert [name for name in SERVICES if "LoadCredential=pin" in UNITS[name]] == [
        "certwright-signer.service",
        "certwright.service",
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_runs_as_root_or_gains_rights(name):
    assert "User=certwright\n" in UNITS[name]
    assert "NoNewPrivileges=yes" in UNITS[name]
    assert "ProtectSystem=strict" in UNITS[name]


def test_systemd_finds_nothing_wrong(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: apt-get install systemd")
    for name, unit in UNITS.items():
        (tmp_path / name).write_text(unit.replace("/opt/certwright", str(ROOT)))
    paths = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "certwright" in line]
    assert not ours, done.stderr
