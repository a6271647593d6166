"""Counters on a full disk: a real, small file system that is filled to the last block."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from web.solid import RESERVED, SolidDict

COUNT = """
from web import counters
plane = counters.StatusCounts()
for number in range(300):
    plane.add("ocsp_get", f"result-{number}")
print("alive", counters.STATUS.labels("ocsp_get", "result-7")._value.get())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def count(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, timeout=30)


def test_a_full_disk_kills_no_worker(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "fill").write_bytes(bytes(2 << 20))
    done = count(small_disk)
    assert done.returncode == 0, done.stderr
    assert "alive 1.0" in done.stdout
    assert "metrics.private" in done.stdout


def test_counters_have_their_blocks_before_they_count(tmp_path: Path) -> None:
    assert count(tmp_path).returncode == 0
    [file] = tmp_path.glob("counter_*.db")
    assert file.stat().st_blocks * 512 >= RESERVED
    read = MmapedDict.read_all_values_from_file(str(file))
    assert sum(value for _, value, _, _ in read) == 300


def test_a_file_that_grows_has_no_holes_either(tmp_path: Path) -> None:
    made = SolidDict(str(tmp_path / "counter_1.db"))
    for number in range(5000):
        made.write_value(f"series-{number:0100d}", 1.0, 0.0)
    file = tmp_path / "counter_1.db"
    assert file.stat().st_size > RESERVED
    assert file.stat().st_blocks * 512 >= file.stat().st_size
