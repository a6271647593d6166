"""The one deadline of a fetch and the notebook of its steps."""

import time
from typing import Any

from acme_server.validation.causes import Cause
from acme_server.validation.wire import Answer, Deed, FetchFailed, Step

_STEPS = 40
_LONGEST = 300


class Trail:
    """Begins now and ends after `seconds`. Notes stay few and short, whatever the other side does.

    A step's subject is for everybody, its detail for operators: where a redirect leads is nobody's else business.
    """

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self.deadline = self._began + seconds
        self._steps: list[Step] = []
        self._redirects = 0

    @property
    def ms(self) -> int:
        """How long it has taken."""
        return int((time.monotonic() - self._began) * 1000)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was noted, in order."""
        return tuple(self._steps)

    def redirected(self) -> None:
        """From now on everything happens behind one redirect more."""
        self._redirects += 1

    def named(self, subject: str) -> str:
        """A subject for everybody."""
        return f"the target of redirect {self._redirects}" if self._redirects else _plain(subject)

    def note(self, deed: Deed, subject: str, outcome: str, detail: str = "") -> None:
        """Adds a step that has just ended."""
        if len(self._steps) < _STEPS:
            detail = f"{subject}; {detail}" if self._redirects else detail
            self._steps.append(Step(self.ms, deed, self.named(subject), _plain(outcome), _plain(detail)))

    def left(self, subject: str) -> float:
        """The seconds that are left, more than none. Raises `FetchFailed` when the time is over."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.failure(Cause.TIME_OVER, subject)
        return left

    def failure(self, cause: Cause, subject: str, detail: str = "", **facts: str) -> FetchFailed:
        """The end of this fetch without an answer; `detail` is for operators."""
        return FetchFailed(cause, _plain(detail), {"subject": self.named(subject), **facts})

    def answer(self, subject: str, **found: Any) -> Answer:
        """The end of this fetch with an answer of the asked kind."""
        return Answer(Cause.FETCHED, subject, {"subject": self.named(subject)}, trail=self.steps, ms=self.ms, **found)


def words(error: Exception) -> str:
    """A system's or library's error in one short line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.partition("\n")[0][:200].rstrip(".")


def _plain(text: str) -> str:
    """Printable ASCII: notes are shown in terminals."""
    return text[:_LONGEST].encode("ascii", "backslashreplace").decode().translate(_CONTROLS)[:_LONGEST]


_CONTROLS = dict.fromkeys((*range(32), 127), "?")
