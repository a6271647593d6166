"""The one deadline of a fetch and the notebook of its steps."""

import time

from acme_server.validation.wire import Deed, FetchFailed, Outcome, Step

_STEPS = 40
_LONGEST = 300


class Trail:
    """Begins now and ends after `seconds`. Notes stay few and short, whatever the other side does."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self.deadline = self._began + seconds
        self._steps: list[Step] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was noted, in order."""
        return tuple(self._steps)

    def note(self, deed: Deed, subject: str, outcome: str, detail: str = "") -> None:
        """Adds a step that has just ended."""
        if len(self._steps) < _STEPS:
            ms = int((time.monotonic() - self._began) * 1000)
            self._steps.append(Step(ms, deed, _plain(subject), _plain(outcome), _plain(detail)))

    def left(self) -> float:
        """The seconds that are left, more than none. Raises `FetchFailed` when the time is over."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise FetchFailed(Outcome.CONNECTION, "The time for this challenge is over.")
        return left


def words(error: Exception) -> str:
    """A system's or library's error in one short line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.partition("\n")[0][:200].rstrip(".")


def _plain(text: str) -> str:
    """Printable ASCII: notes are shown in terminals."""
    return text[:_LONGEST].encode("ascii", "backslashreplace").decode().translate(_CONTROLS)[:_LONGEST]


_CONTROLS = dict.fromkeys((*range(32), 127), "?")
