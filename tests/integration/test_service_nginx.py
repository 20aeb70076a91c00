"""The recipe for nginx, which can say 401 and 403 only: users see 429 and Retry-After."""

import pytest

from tests import nginx
from tests.gateways import check_that_it_limits, front


@pytest.mark.slow
def test_users_of_nginx_see_429_and_when_to_come_back(tmp_path, unused_port):
    port = unused_port()
    with front(tmp_path, port, "status = 403") as it:
        lines = it.recipe("nginx.conf")
        with nginx.running(tmp_path, unused_port(), http=lines) as running:
            it.until_ready(running.process)
            check_that_it_limits(it)
