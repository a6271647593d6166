"""The units for systemd start what exists, one for each process, and systemd itself finds nothing wrong with them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ca.config import Config, load
from ca.places import places
from ca.users import MEMBERS
from cli import main
from cli.processes import KINDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
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


def values(unit: str, key: str) -> list[str]:
    return [word for line in re.findall(rf"^{key}=(.*)$", UNITS[unit], re.MULTILINE) for word in line.split()]


def process_of(name: str) -> str:
    """The process as whose user a unit runs: the tables are brought up to date by the scheduler's."""
    kind = name.removeprefix("certwright-").removesuffix(".service")
    return "scheduler" if kind == "migrate" else kind


def test_only_the_signer_gets_the_pin():
    assert [name for name in SERVICES if "LoadCredential=pin" in UNITS[name]] == ["certwright-signer.service"]


def test_a_signer_is_started_again_however_often_its_token_ends_it():
    assert "\nStartLimitIntervalSec=0\n" in UNITS["certwright-signer.service"].partition("[Service]")[0]
    assert "\nRestart=on-failure\nRestartSec=2\n" in UNITS["certwright-signer.service"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_unit_has_its_own_user_and_groups_and_no_right_to_gain(name):
    users = Config().users
    wanted = [getattr(users, group) for group in MEMBERS[process_of(name)]]
    assert values(name, "User") == values(name, "Group") == [getattr(users, process_of(name))]
    assert values(name, "SupplementaryGroups") == wanted
    assert values(name, "CapabilityBoundingSet") in ([], ["CAP_NET_BIND_SERVICE"])
    assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "LimitCORE=0"} <= set(UNITS[name].splitlines())


# --- users and places ---------------------------------------------------------------------------


def test_the_accounts_are_those_of_the_configuration():
    lines = [line.split() for line in (DEPLOY / "sysusers.d" / "certwright.conf").read_text().splitlines()]
    users = Config().users
    assert {line[1] for line in lines if line[0] == "u"} == {getattr(users, one) for one in MEMBERS}
    assert {line[1] for line in lines if line[0] == "g"} == {users.everyone, users.records, users.clients}
    members = {(line[1], line[2]) for line in lines if line[0] == "m"}
    assert members == {(getattr(users, one), getattr(users, group)) for one in MEMBERS for group in MEMBERS[one]}


def demanded() -> dict[str, tuple[int, str, str]]:
    """The folders of deploy/certwright.toml as the program demands them: mode, owner, group."""
    config = load(DEPLOY / "certwright.toml")
    named = (*MEMBERS, "everyone", "records", "clients")
    names = {"root": "root", **{one: getattr(config.users, one) for one in named}}
    folders = [one for one in places(config) if not one.at_most]
    return {str(one.path): (one.mode, names[one.owner], names[one.group]) for one in folders}


def test_the_places_that_are_made_are_those_that_are_demanded():
    lines = [line.split() for line in (DEPLOY / "tmpfiles.d" / "certwright.conf").read_text().splitlines()]
    made = {line[1]: (int(line[2], 8), line[3], line[4]) for line in lines if line[0] == "d"}
    assert {path: what for path, what in made.items() if what != (0o755, "root", "root")} == demanded()


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_may_write_where_its_user_may_and_sees_nothing_of_others(name):
    config, process = load(DEPLOY / "certwright.toml"), process_of(name)
    mine = {process, *MEMBERS[process]} - {"clients"}
    writable = {str(one.path) for one in places(config) if not one.at_most and {one.owner, one.group} & mine}
    sockets = {str(config.signer.socket.parent), str(config.acme.validation.socket.parent)}
    given = set(values(name, "ReadWritePaths")) | {f"/var/lib/{one}" for one in values(name, "StateDirectory")}
    assert given <= writable | sockets
    hidden = {one.removeprefix("-") for one in values(name, "InaccessiblePaths")}
    assert not hidden & given
    if process != "signer":
        assert {"/var/lib/certwright/signer", "/var/lib/certwright/hsm"} <= hidden


def test_the_image_makes_the_same_accounts():
    text = (ROOT / "Dockerfile").read_text()
    added = dict(re.findall(r"&& add \d+ (\w+) (\S+)", text))
    users = Config().users
    assert added == {one: ",".join(getattr(users, group) for group in MEMBERS[one]) for one in MEMBERS}
    assert {f"certwright-{one}" for one in MEMBERS} == {getattr(users, one) for one in MEMBERS}


def test_the_image_adds_them_on_this_machine(tmp_path):
    """The very line of the Dockerfile, on a root of its own."""
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        pytest.skip("only root can add accounts")
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("root:x:0:0:root:/root:/bin/sh\n" if name == "passwd" else "root:x:0:\n")
    [line] = re.findall(r"^RUN (groupadd .*?)\n\n", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    line = re.sub(r"\b(groupadd|useradd)\b", rf"\1 --prefix {tmp_path}", line)
    subprocess.run(["bash", "-euc", line], check=True, capture_output=True)
    accounts = (tmp_path / "etc" / "passwd").read_text()
    assert re.findall(r"^certwright-(\w+):.:(\d+):(\d+):", accounts, re.MULTILINE) == [
        (one, str(901 + number), str(901 + number)) for number, one in enumerate(MEMBERS)
    ]
    groups = (tmp_path / "etc" / "group").read_text().splitlines()
    assert "certwright-records:x:906:certwright-scheduler,certwright-web" in groups


# --- systemd's own word -------------------------------------------------------------------------


EXPOSURE = 25
"""The most that systemd's own count of what a unit is left with may reach, in tenths; 100 is everything."""


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_counts_little_exposure(name, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: apt-get install systemd")
    (tmp_path / name).write_text(UNITS[name].replace("/opt/certwright", str(ROOT)))
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", tmp_path / name]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_systemd_finds_nothing_wrong(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: apt-get install systemd")
    for name, unit in UNITS.items():
        (tmp_path / name).write_text(unit.replace("/opt/certwright", str(ROOT)))
    paths = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "certwright" in line]
    assert not ours, done.stderr
