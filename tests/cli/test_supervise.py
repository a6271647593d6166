"""The supervisor over small real processes: restart, drain, and nobody left behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ca.errors import Conflict
from cli import processes, supervise
from cli.supervise import Child

pytestmark = pytest.mark.slow

LIVING = """
import os, signal, sys, time
name, folder = sys.argv[1:]
def end(*_):
    with open(folder + "/ended", "a") as file: file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
with open(folder + "/pids", "a") as file: file.write(f"{name} {os.getpid()}\\n")
while True: time.sleep(0.05)
"""


def children(folder: Path, **other: str) -> dict[str, Child]:
    """The five, each a script that notes its pid and its orderly end; `other` gives some another script."""
    return {
        name: Child(name, [sys.executable, "-c", other.get(name, LIVING), name, str(folder)], dict(os.environ))
        for name in processes.KINDS
    }


def pids(folder: Path) -> list[tuple[str, int]]:
    noted = folder / "pids"
    lines = noted.read_text().split("\n")[:-1] if noted.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def eventually(what, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def supervised(world: dict[str, Child], act) -> int:
    """Supervises while `act()` runs in a thread; then asks for the end."""

    async def nothing() -> None:
        await asyncio.sleep(3600)

    task = asyncio.create_task(supervise._supervise(world, nothing()))
    await asyncio.to_thread(act)
    if not task.done():
        os.kill(os.getpid(), signal.SIGTERM)
    return await task


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(supervise, "GRACE", 1.0)


def test_children_start_and_are_drained_in_order(tmp_path):
    def act() -> None:
        eventually(lambda: len(pids(tmp_path)) == 5)

    assert asyncio.run(supervised(children(tmp_path), act)) == 0
    assert tuple((tmp_path / "ended").read_text().split()) == supervise.DRAIN


@pytest.mark.parametrize("name", ["signer", "web"])
def test_a_killed_child_starts_again(tmp_path, name):
    def act() -> None:
        eventually(lambda: len(pids(tmp_path)) == 5)
        os.kill(dict(pids(tmp_path))[name], signal.SIGKILL)
        eventually(lambda: len(pids(tmp_path)) == 6)

    assert asyncio.run(supervised(children(tmp_path), act)) == 0
    assert [one for one, _ in pids(tmp_path)].count(name) == 2


def test_the_pause_doubles_up_to_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "FIRST", 0.05)
    monkeypatch.setattr(supervise, "LONGEST", 0.2)
    slept: list[float] = []
    patient = Child._sleep

    async def note(self: Child, pause: float) -> None:
        slept.append(pause)
        await patient(self, pause)

    monkeypatch.setattr(Child, "_sleep", note)
    world = children(tmp_path, fetcher="raise SystemExit(1)")
    assert asyncio.run(supervised(world, lambda: eventually(lambda: len(slept) >= 4))) == 0
    assert slept[:4] == [0.1, 0.2, 0.2, 0.2]


def test_a_configuration_that_cannot_be_used_ends_the_service(tmp_path):
    world = children(tmp_path, scheduler="import time; time.sleep(1); raise SystemExit(2)")

    def act() -> None:
        eventually(lambda: (tmp_path / "ended").exists() and len((tmp_path / "ended").read_text().split()) == 4)

    assert asyncio.run(supervised(world, act)) == 2


def test_a_stubborn_child_is_killed_after_its_grace(tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + LIVING.replace(
        "signal.signal(signal.SIGTERM, end)", ""
    )
    began = time.monotonic()

    def act() -> None:
        eventually(lambda: len(pids(tmp_path)) == 5)

    assert asyncio.run(supervised(children(tmp_path, web=stubborn), act)) == 0
    assert time.monotonic() - began > 1.0
    assert not alive(dict(pids(tmp_path))["web"])


def test_workers_that_a_dead_child_left_behind_are_killed(tmp_path):
    """Granian's workers would hold the port."""
    parent = (
        "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[3]] + sys.argv[1:3]);"
        + LIVING.replace("name, folder = sys.argv[1:]", "name, folder = sys.argv[1:3]")
    )
    world = children(tmp_path)
    world["web"].command = [
        sys.executable,
        "-c",
        parent,
        "web",
        str(tmp_path),
        LIVING.replace("(name", "('worker'").replace("{name}", "worker"),
    ]

    def act() -> None:
        eventually(lambda: len(pids(tmp_path)) == 6)
        worker = dict(pids(tmp_path))["worker"]
        os.kill(dict(pids(tmp_path))["web"], signal.SIGKILL)
        eventually(lambda: not alive(worker))

    assert asyncio.run(supervised(world, act)) == 0


def test_the_second_signal_kills_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "GRACE", 60.0)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + LIVING.replace(
        "signal.signal(signal.SIGTERM, end)", ""
    )

    def act() -> None:
        eventually(lambda: len(pids(tmp_path)) == 5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)

    began = time.monotonic()
    assert asyncio.run(supervised(children(tmp_path, web=stubborn), act)) == 0
    assert time.monotonic() - began < 30


def test_children_die_with_a_supervisor_that_is_killed(tmp_path):
    """kill -9 of the supervisor leaves nobody who holds a port."""
    child = "import sys; from cli.processes import die_with; die_with(int(sys.argv[3]));" + LIVING.replace(
        "name, folder = sys.argv[1:]", "name, folder = sys.argv[1:3]"
    )
    supervisor = f"""
import asyncio, os, sys
from cli import supervise
from cli.supervise import Child
world = {{name: Child(name, [sys.executable, "-c", {child!r}, name, sys.argv[1], str(os.getpid())], dict(os.environ))
         for name in supervise.KINDS}}
async def main():
    await supervise._supervise(world, asyncio.sleep(3600))
asyncio.run(main())
"""
    running = subprocess.Popen([sys.executable, "-c", supervisor, str(tmp_path)])
    eventually(lambda: len(pids(tmp_path)) == 5)
    running.kill()
    running.wait()
    eventually(lambda: not any(alive(pid) for _, pid in pids(tmp_path)))
    assert len((tmp_path / "ended").read_text().split()) == 5


def test_a_child_whose_supervisor_is_gone_already_does_not_start():
    script = "from cli.processes import die_with; die_with(1 if __import__('os').getppid() != 1 else 2); print('lives')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == ""


def test_a_busy_port_is_named_with_the_next_step():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(Conflict) as refused:
            processes.demand_free(f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in refused.value.detail
    assert "--https-port" in refused.value.next_step
    processes.demand_free(f"127.0.0.1:{port}")


def test_systemd_is_told(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        supervise._notify("READY=1")
        assert listener.recv(64) == b"READY=1"
