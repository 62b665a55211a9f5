"""Wordings of versions of typer and click become the same sentence."""

from types import SimpleNamespace

import pytest

from inventory.cli.usage_error import usage_message

CONTEXT = SimpleNamespace(command_path="inventory export")


class NoSuchOption(Exception):  # noqa: N818 - the name that typer gives it
    """An option that does not exist."""

    option_name = "--formt"
    possibilities = ("--log-format", "--format")
    ctx = CONTEXT


class RefusedValueError(Exception):
    """A value that does not fit its option."""

    ctx = CONTEXT

    def __init__(self, message):
        self.message = message

    def format_message(self):
        return f"Invalid value for '--port': {self.message}"


class OtherError(RefusedValueError):
    """Any other error."""

    def format_message(self):
        return self.message


@pytest.mark.parametrize(
    "message",
    [
        "Input should be a valid integer, unable to parse string as an integer",  # typer 0.29, by pydantic
        "'a b' is not a valid integer.",  # click
        "'a' is not a valid int.",  # typer 0.28
    ],
)
def test_a_number_is_asked_for_in_the_same_words(message):
    expected = "invalid value for '--port': it must be a whole number; see inventory export --help"
    assert usage_message(RefusedValueError(message)) == expected


@pytest.mark.parametrize(
    "message",
    [
        "No such command 'exprot'. Did you mean 'export'?",
        "No such command 'exprot'. Did you mean 'export'? Did you mean 'export'?",  # typer 0.20 to 0.25 with click 8.5
    ],
)
def test_a_suggestion_is_made_once(message):
    expected = "no such command 'exprot' (did you mean 'export'?); see inventory export --help"
    assert usage_message(OtherError(message)) == expected


def test_options_are_suggested_in_order():
    expected = "there is no option --formt (did you mean --format or --log-format?); see inventory export --help"
    assert usage_message(NoSuchOption()) == expected


def test_an_error_without_a_command_names_the_program():
    error = OtherError("Value error, no")
    error.ctx = None
    assert usage_message(error) == "no; see inventory --help"
