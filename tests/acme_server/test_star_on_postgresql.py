"""What renews itself, once more over PostgreSQL under the role with the least rights: the same tests."""

from collections.abc import Iterator

import pytest

from tests.acme_server.conftest import Town, a_town
from tests.acme_server.test_star import (  # noqa: F401 - tests and what they stand on
    authority,
    desk,
    test_A38_none_lasts_beyond_the_end_and_none_comes_after_it,
    test_A38_of_many_schedulers_one_makes_it,
    test_A38_what_may_have_been_signed_is_given_up_and_another_made,
    test_A39_a_cancelled_order_gets_no_further_certificate_and_shows_none,
    test_A39_an_account_that_ends_ends_its_orders,
    test_A39_one_that_is_cancelled_under_the_signature_gets_nothing,
    test_A39_what_is_cancelled_is_forgotten_in_time,
)
from tests.conftest import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with a_town(tmp_path_factory, postgresql.lend_to_writer()) as made:
        yield made
