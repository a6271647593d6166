"""Where rows are raced for, once more over PostgreSQL under the role with the least rights: the same tests."""

from collections.abc import Iterator

import pytest

from tests.acme_server.conftest import Town, a_town
from tests.acme_server.test_finalize import (  # noqa: F401 - tests and what they stand on
    desk,
    test_A26_finalize_twice,
    test_an_account_that_is_ended_under_the_finalize_gets_nothing,
    test_an_authorization_that_falls_away_under_the_finalize_stops_it,
    test_an_order_waits_for_the_hsm_and_is_issued_when_it_is_back,
    test_INC05_kill_9_at_any_moment_of_the_issuance,
    test_sweeps_beside_one_another_and_beside_requests_issue_once,
    test_the_first_ocsp_answer_is_published_before_the_order_is_valid,
    test_two_finalizes_at_once_make_one_certificate,
    test_what_may_have_been_signed_ends_the_order_and_not_its_authorizations,
    without_signer,
)
from tests.acme_server.test_revocation import (  # noqa: F401
    test_A30_a_second_time,
    test_A30_an_upgrade_to_key_compromise_is_taken,
    test_A30_by_the_account_that_got_it,
)
from tests.conftest import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """In place of the session's."""
    with a_town(tmp_path_factory, postgresql.lend_to_writer()) as made:
        yield made
