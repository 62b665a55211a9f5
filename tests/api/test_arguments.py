from typing import get_type_hints

import pytest

import inventory
from inventory.api.arguments import NAMED_PARAMETERS, Options, to_python_wording
from inventory.settings_sources.run_options import declared_options


def test_the_signature_of_export_has_every_declared_option():
    declared = {
        name: option.python_kind for name, option in declared_options().items() if option.option.is_python_keyword
    }
    assert {
        name for name in NAMED_PARAMETERS if name not in ("check", "progress")
    } == declared.keys() - Options.__annotations__.keys()
    assert get_type_hints(Options) == {name: kind for name, kind in declared.items() if name not in NAMED_PARAMETERS}
    assert all(f"``{name}``" in inventory.export.__doc__ for name in Options.__annotations__)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("--resume: x contains no run", "resume=True: x contains no run"),
        ("give --token-file", "give token_file"),
        ("a--b and --not-an-option", "a--b and not_an_option"),
    ],
)
def test_messages_have_python_keywords(message, expected):
    assert to_python_wording(message) == expected
