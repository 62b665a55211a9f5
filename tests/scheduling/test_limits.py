import pytest

from inventory.errors import RateLimit
from inventory.scheduling.limits import Limits


@pytest.mark.parametrize(("share", "endpoint_share", "used"), [(1.0, 1.0, 1.0), (1.0, 0.25, 0.25), (0.5, 0.5, 0.25)])
def test_a_limit_of_an_endpoint_is_divided_and_one_of_a_scope_is_not(share, endpoint_share, used):
    learned = {"scopes": [["r", "p", [[100, 1.0, "user"]]]], "endpoints": [["url", [[400, 1.0, "ip"]]]]}
    limits = Limits(share, learned, endpoint_share=endpoint_share)
    own, shared = limits.throttle(("r", "p"), 0.0).pace, limits.endpoint("url", ("r", "p")).throttle.pace
    alone = Limits(1.0, learned).endpoint("url", ("r", "p")).throttle.pace
    assert shared.limits == [RateLimit(400, 1.0, "ip")]
    assert shared.rate == pytest.approx(used * alone.rate, rel=0.05)
    assert own.rate == pytest.approx(share * Limits(1.0, learned).throttle(("r", "p"), 0.0).pace.rate, rel=0.05)
