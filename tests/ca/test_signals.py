"""Being told to end, by signals that come within each other."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from ca.signals import Told, told_to_end

ENDS = """
from ca.signals import told_to_end
told = told_to_end()
print("ready", flush=True)
while not told.wait(60):
    pass
print("ended", flush=True)
"""


def test_it_is_told_once_for_all_who_wait() -> None:
    told, went_on = Told(), []
    threads = [threading.Thread(target=lambda: went_on.append(told.wait(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    told.set()
    for thread in threads:
        thread.join()
    assert went_on == [True] * 3
    assert told.is_set()


def test_it_waits_no_longer_than_it_may_and_can_be_told_again() -> None:
    told = Told()
    assert not told.wait(0.01)
    told.set()
    assert told.wait(0)
    told.clear()
    assert not told.is_set()
    assert not told.wait(0.01), "what was told before does not count"
    told.set()
    assert told.wait(0)


@pytest.fixture
def ending() -> Iterator[Told]:
    """Told by this process' own SIGTERM, until the end of the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield told_to_end()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_may_come_within_any_line_of_its_own_handler(ending: Told) -> None:
    """`threading.Event.set` would wait here for the lock that it holds itself."""
    lines = []

    def interrupt(frame: FrameType, what: str, _: object) -> object:
        if frame.f_code is Told.set.__code__ and what == "line":
            lines.append(frame.f_lineno)
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)
            sys.settrace(interrupt)
        return interrupt

    sys.settrace(interrupt)
    signal.raise_signal(signal.SIGTERM)
    sys.settrace(None)
    assert len(lines) >= 2
    assert ending.wait(0)


@pytest.mark.slow
def test_a_burst_of_signals_ends_a_process() -> None:
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", ENDS], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(6):
                os.kill(process.pid, signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM)  # the last ones may find it on its way out


def test_a_wait_looks_again_within_a_second() -> None:
    """A signal just before the kernel's wait is handled only after it; here nobody wakes it at all."""
    told = Told()
    threading.Timer(0.1, setattr, (told, "_told", True)).start()
    began = time.monotonic()
    assert told.wait(30)
    assert time.monotonic() - began < 10
