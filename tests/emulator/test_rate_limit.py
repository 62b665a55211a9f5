from __future__ import annotations

import pytest

from inventory.emulator import Emulator, Faults, Limit, Scope
from inventory.emulator.gateway.rate_limit import Windows
from inventory.emulator.gateway.routes import Operation
from inventory.errors import SettingsError

A, B = Scope("cn-north-4", "a"), Scope("cn-north-4", "b")
SHOW, LIST = Operation.SHOW_CONFIG, Operation.LIST_CONFIGS


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("spec", "seconds", "window"),
    [
        ("60/minute", 60, "limit:60,time:1 minute"),
        ("200/5minute", 300, "limit:200,time:5 minute"),
        ("5/5second", 5, "limit:5,time:5 second"),
        ("7/hour", 3600, "limit:7,time:1 hour"),
        ("9/2days", 172_800, "limit:9,time:2 day"),
    ],
)
@pytest.mark.parametrize(("suffix", "policy"), [("", "user"), (":user", "user"), (":ip", "ip"), (":api", "api")])
def test_specs_have_the_gateways_message(spec, seconds, window, suffix, policy):
    limit = Limit.parse(f"{spec}{suffix}")
    assert (limit.seconds, limit.policy) == (seconds, policy)
    assert limit.error_msg == f"The throttling threshold has been reached: policy {policy} over ratelimit,{window}"


def test_both_prefixes_of_the_code_exist():
    assert Limit.parse("1/second").error_code == "APIGW.0308"
    assert Limit.parse("1/second", old_prefix=True).error_code == "APIG.0308"


@pytest.mark.parametrize("spec", ["", "60", "60/", "60/fortnight", "-1/second", "0/second", "1/0second", "1.5/second"])
@pytest.mark.parametrize("suffix", ["", ":ip"])
def test_a_wrong_spec_is_a_settings_error(spec, suffix):
    with pytest.raises(SettingsError, match="limit"):
        Limit.parse(f"{spec}{suffix}")


@pytest.mark.parametrize("suffix", [":", ":app", ":IP", ":ip:ip", ": ip", "ip"])
def test_an_unknown_policy_is_an_error_that_names_the_known(suffix):
    with pytest.raises(SettingsError, match=":user, :ip, :api"):
        Limit.parse(f"1/second{suffix}")
    with pytest.raises(SettingsError, match="'app' is not one of user, ip, api"):
        Limit(1, policy="app")


def test_a_window_lets_through_its_calls_and_refuses_the_rest():
    clock = Clock()
    windows = Windows(Limit(2, 10), clock)
    assert [windows.count_call(A, SHOW), windows.count_call(A, SHOW), windows.count_call(A, SHOW)] == [None, None, 10]
    clock.now += 9.5
    assert windows.count_call(A, SHOW) == 1
    clock.now += 0.5
    assert windows.count_call(A, SHOW) is None


@pytest.mark.parametrize(
    ("policy", "refused"),
    [
        ("user", [False, True, False, True]),  # each project has a window for all its operations
        ("ip", [False, True, True, True]),
        ("api", [False, False, True, True]),
    ],
)
def test_a_policy_decides_which_calls_share_a_window(policy, refused):
    windows = Windows(Limit(1, policy=policy), Clock())
    calls = [(A, SHOW), (A, LIST), (B, SHOW), (B, LIST)]
    assert [windows.count_call(*call) is not None for call in calls] == refused


def test_refused_calls_count_against_the_next_window_if_enabled():
    for counted, expected in ((False, None), (True, 10)):
        clock = Clock()
        windows = Windows(Limit(2, 10, refused_count=counted), clock)
        for _ in range(5):
            windows.count_call(A, SHOW)
        clock.now += 10
        assert windows.count_call(A, SHOW) == expected
        clock.now += 20
        assert windows.count_call(A, SHOW) is None


def test_refused_calls_above_the_limit_count_against_further_windows():
    clock = Clock()
    windows = Windows(Limit(2, 10, refused_count=True), clock)
    for _ in range(8):
        windows.count_call(A, SHOW)
    refused = []
    for _ in range(6):
        clock.now += 10
        refused.append(windows.count_call(A, SHOW) is not None)
    assert refused == [True] * 5 + [False]


def test_one_refused_call_uses_one_call_of_the_next_window():
    clock = Clock()
    windows = Windows(Limit(2, 10, refused_count=True), clock)
    assert [windows.count_call(A, SHOW) for _ in range(3)] == [None, None, 10]
    clock.now += 10
    assert [windows.count_call(A, SHOW) for _ in range(2)] == [None, 10]


def test_limit_and_faults_accept_text():
    cloud = Emulator(functions=1, limit="150/second", faults="5xx=1%")
    assert cloud.limit == Limit(150)
    assert cloud.faults == Faults.parse("5xx=1%")
    cloud.limit = "60/minute"
    assert cloud.limit == Limit(60, 1, "minute")
    cloud.limit = cloud.faults = None
    assert cloud.limit is cloud.faults is None
    for wrong, message in (
        ({"limit": "often"}, "limit"),
        ({"faults": "5xx=200%"}, "5xx"),
        ({"faults": 3}, "faults must be a text or Faults, not int"),
        ({"functions": "3"}, "functions must be a whole number, not str"),
    ):
        with pytest.raises(SettingsError, match=message):
            Emulator(**wrong)
