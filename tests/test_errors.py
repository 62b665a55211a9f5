from __future__ import annotations

import pickle
import re

import pytest

from inventory import errors
from inventory.errors import (
    CallConnectionError,
    CallError,
    CallTimeoutError,
    CredentialRefusedError,
    CredentialsError,
    ErrorKind,
    ExitCode,
    ForbiddenError,
    InterruptedRunError,
    InventoryError,
    NotConfiguredError,
    OutputError,
    RefusedError,
    SettingsError,
    SourceError,
    Status,
    ThrottledError,
    UrnError,
    UsageError,
    WrongEndpointError,
)

CLASSES = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, InventoryError)}
CALL_CLASSES = sorted(name for name, cls in CLASSES.items() if issubclass(cls, CallError))


def drawn() -> dict[str, str]:
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            del above[depth:]
            parents[found[2]] = above[-1] if above else "Exception"
            above.append(found[2])
    return parents


def test_the_drawn_tree_is_the_tree_of_the_classes():
    assert drawn() == {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()}
    assert len(drawn()) == 28


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(CALL_CLASSES) - {"InterruptedRunError"}))
def test_plain_errors_pickle(name):
    error = pickle.loads(pickle.dumps(CLASSES[name]("what, where, what to do")))  # noqa: S301 - our own bytes
    assert type(error) is CLASSES[name]
    assert (str(error), error.message, error.args) == ("what, where, what to do",) * 2 + (("what, where, what to do",),)


@pytest.mark.parametrize("name", CALL_CLASSES)
def test_call_errors_pickle_with_their_fields(name):
    sent = CLASSES[name]("words", status_code=499, error_code="FSS.0499", request_id="r-1", body=b'{"a":1}')
    error = pickle.loads(pickle.dumps(sent))  # noqa: S301 - our own bytes
    assert type(error) is CLASSES[name]
    assert error.error_msg == "words"
    assert (error.status_code, error.error_code, error.request_id) == (499, "FSS.0499", "r-1")
    assert error.body == b'{"a":1}'
    assert str(error) == str(sent)


def test_the_hints_of_a_throttled_call_pickle():
    sent = ThrottledError("busy", status_code=429).with_hints(retry_after=7.5, limit=(200, 300.0))
    error = pickle.loads(pickle.dumps(sent))  # noqa: S301 - our own bytes
    assert (error.retry_after, error.limit, error.status_code) == (7.5, (200, 300.0), 429)


def test_an_interruption_pickles_with_its_signal():
    error = pickle.loads(pickle.dumps(InterruptedRunError(15)))  # noqa: S301 - our own bytes
    assert error.signal_number == 15
    assert "SIGTERM" in str(error)


def test_exit_codes_are_those_of_the_contract():
    assert sorted(int(code) for code in ExitCode) == [0, 1, 2, 3, 4, 5, 6, 70, 129, 130, 143]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (SettingsError("x"), 2),
        (SourceError("x"), 2),
        (UrnError("x"), 2),
        (CredentialsError("x"), 3),
        (RefusedError("x"), 3),
        (CredentialRefusedError("x"), 3),
        (ForbiddenError("x"), 3),
        (OutputError("x"), 4),
        (errors.BlockedError("x"), 5),
        (CallConnectionError("x"), 5),
        (CallTimeoutError("x"), 5),
        (ThrottledError("x"), 5),
        (WrongEndpointError("x"), 5),
        (InterruptedRunError(2), 130),
        (InterruptedRunError(15), 143),
        (InterruptedRunError(1), 129),
    ],
)
def test_each_error_that_ends_a_run_has_its_exit_code(error, code):
    assert error.exit_code == code


def test_statuses_are_those_of_the_contract():
    assert [str(status) for status in Status] == [
        "configured",
        "not_configured",
        "not_found",
        "failed",
        "not_attempted",
    ]


def test_kinds_are_those_of_the_contract():
    assert [str(kind) for kind in ErrorKind] == [
        "throttled",
        "timeout",
        "connection",
        "server_error",
        "refused",
        "forbidden",
        "blocked",
        "bad_request",
        "bad_answer",
        "wrong_endpoint",
    ]


def test_every_call_error_that_fails_a_urn_says_why():
    concrete = [CLASSES[name] for name in CALL_CLASSES if name != "CallError"]
    assert all((cls.kind is not None) == (cls.status == "failed") for cls in concrete)
    assert {cls.kind for cls in concrete} - {None} == set(ErrorKind)


def test_the_two_flags_are_the_policy():
    flagged = {(cls.__name__, cls.retryable, cls.stops_scope) for cls in map(CLASSES.get, CALL_CLASSES) if cls}
    assert {name for name, retryable, _ in flagged if retryable} == {
        "ThrottledError",
        "CallTimeoutError",
        "CallConnectionError",
        "ServerError",
        "BadAnswerError",
        "CredentialExpiredError",
    }
    assert {name for name, _, stops in flagged if stops} == {
        "CredentialRefusedError",
        "BlockedError",
        "CertificateRefusedError",
    }


def test_another_class_keeps_the_answer():
    error = ForbiddenError("invalid token", status_code=403, error_code="FSS.0403", request_id="r", body=b"b")
    other = error.as_kind(CredentialRefusedError)
    assert type(other) is CredentialRefusedError
    assert (other.error_msg, other.status_code, other.error_code, other.request_id, other.body) == (
        "invalid token",
        403,
        "FSS.0403",
        "r",
        b"b",
    )


def test_a_call_error_is_a_sentence_even_without_an_answer():
    assert str(NotConfiguredError()) == "not_configured: no answer"
    assert str(ThrottledError("busy", status_code=429, error_code="FSS.0429")) == "throttled: 429 FSS.0429 busy"


def test_an_os_error_becomes_a_sentence():
    full = OSError(28, "No space left on device")
    error = OutputError.from_os_error("a", "cannot be written", full, "{remedy}, then rerun")
    assert (type(error), str(error)) == (
        OutputError,
        "a cannot be written: No space left on device; free disk space, then rerun",
    )
    assert str(SourceError.from_os_error("b", "cannot be read", OSError("two\nlines"))) == "b cannot be read: two"
