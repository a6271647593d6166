"""The reasons for which an operator may revoke: said in words where a command line or a schema must know them early."""

from typing import get_args

import pytest

from ca.authority import revoke
from cli import revoke as command
from web.api import models


@pytest.mark.parametrize("said", [command.REASONS, get_args(models.Reason)])
def test_every_face_offers_what_may_be_said_and_nothing_else(said: tuple[str, ...]) -> None:
    assert len(said) == len(set(said))
    assert set(said) == {str(one) for one in revoke.REASONS}
