"""Idempotency once more over PostgreSQL, under the role with the least rights: the same tests."""

from collections.abc import Iterator

import pytest

from tests.ca.authority.world import World, small_ca
from tests.conftest import Cluster
from tests.web.test_once import (  # noqa: F401 - tests and what they stand on
    key,
    test_a_replay_gets_the_first_outcome_and_no_second_certificate,
    test_after_a_crash_it_is_409_until_the_sweep_and_then_a_new_key_is_needed,
    test_of_many_at_once_one_issues,
    test_when_the_hsm_was_away_the_same_key_may_ask_again,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """In place of the session's."""
    with small_ca(tmp_path_factory.mktemp("world"), postgresql.lend_to_writer()) as made:
        yield made
