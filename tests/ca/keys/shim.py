"""An HSM that has bad days on command: SoftHSM behind `shim.c`, which gcc builds in the test run."""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")
_LAYOUT = struct.Struct("5i")


class Fault(IntEnum):
    """What the HSM does, in the order of shim.c."""

    WELL = 0
    GONE = 1
    SLOW = 2
    HANGING = 3
    WRONG = 4
    SESSIONS_INVALID = 5
    SESSIONS_CLOSED = 6
    OPERATION_ACTIVE = 7
    PIN_INCORRECT = 8
    PIN_LOCKED = 9
    REPLACED = 10
    GENERAL_ERROR = 11
    HOST_MEMORY = 12
    ABORTING = 13
    SEGFAULTING = 14


class Shim:
    """The module in a folder; `environment` is what whoever loads it needs."""

    def __init__(self, folder: Path, module: str) -> None:
        self.path = folder / "shim.so"
        build(self.path)
        control = folder / "shim.control"
        control.write_bytes(bytes(_LAYOUT.size))
        self.environment = {"SHIM_MODULE": module, "SHIM_CONTROL": str(control)}
        with control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    def have(self, fault: Fault, milliseconds: int = 0) -> None:
        """From the next call on, the HSM is like this."""
        struct.pack_into("2i", self._memory, 0, fault, milliseconds)

    @contextmanager
    def having(self, fault: Fault, milliseconds: int = 0) -> Iterator[None]:
        """The HSM is like this for the body, and well after it."""
        self.have(fault, milliseconds)
        try:
            yield
        finally:
            self.have(Fault.WELL)

    @property
    def logins(self) -> int:
        """How often C_Login was called."""
        return self._number(2)

    @property
    def signs(self) -> int:
        """How often C_Sign was called."""
        return self._number(3)

    def _number(self, place: int) -> int:
        return int(_LAYOUT.unpack_from(self._memory)[place])


def build(path: Path) -> None:
    """Builds the module; skips the test where there is no gcc."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed: apt-get install gcc libc6-dev")
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-O1", "-o", str(path), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
