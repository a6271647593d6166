"""Disks that fill up, and disks that fail at fsync: real ones, for whatever runs over them."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("eio.c")


@contextmanager
def small_disk(folder: Path, megabytes: int = 8) -> Iterator[None]:
    """A disk of its own at that folder. Skips the test for those who may not mount."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "full", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not an octet is free on that folder's disk while the body runs."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@dataclass(frozen=True)
class Fsync:
    """fsync and fdatasync as `eio.c` has them, for processes that are started with `environment`."""

    library: Path
    order: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "CERTWRIGHT_TEST_EIO": str(self.order)}

    @contextmanager
    def failing(self, mark: str) -> Iterator[None]:
        """While the body runs, they fail for every file whose path contains the mark."""
        draft = self.order.with_suffix(".new")
        draft.write_text(f"{mark}\n")
        draft.rename(self.order)
        try:
            yield
        finally:
            self.order.unlink()


def failing_fsync(folder: Path) -> Fsync:
    """Builds the shim there. Skips the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("There is no C compiler (Debian: apt-get install gcc libc6-dev)")
    library = folder / "eio.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SHIM, "-ldl"], check=True)
    made = Fsync(library, folder / "order")
    _demand_that_it_works(made, folder)
    return made


def _demand_that_it_works(made: Fsync, folder: Path) -> None:
    """A shim that is not loaded would let every test of it pass for the wrong reason."""
    script = "import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))"
    command = ["python3", "-c", script, str(folder / "cursed")]
    environment = {**os.environ, **made.environment}
    assert subprocess.run(command, env=environment).returncode == 0
    with made.failing("cursed"):
        said = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert os.strerror(errno.EIO) in said.stderr
