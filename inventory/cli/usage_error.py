"""Makes one sentence of a command line that typer refuses."""

from __future__ import annotations

import re
from typing import Any, Final

UsageError = Any
"""click's; some versions of typer contain a copy of click."""

_SUGGESTION: Final = re.compile(r"\. Did you mean (?P<names>[^?]*)\?.*$")
_WORDINGS: Final = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"Input should be a valid integer.*|.* is not a valid int.*"), "it must be a whole number"),
    (re.compile(r"Input should be a valid number.*|.* is not a valid float.*"), "it must be a number"),
    (re.compile(r"Input should be"), "it must be"),
)
"""Wordings of pydantic and click, which versions of typer use."""


def usage_message(error: UsageError) -> str:
    """What is wrong, and the command that explains the right form."""
    if type(error).__name__ == "NoSuchOption":
        text = f"there is no option {error.option_name}"
        if error.possibilities:
            text += f" (did you mean {' or '.join(sorted(error.possibilities))}?)"
    else:
        for pattern, wording in _WORDINGS:
            error.message = pattern.sub(wording, error.message or "")
        text = _SUGGESTION.sub(r" (did you mean \g<names>?)", error.format_message()).rstrip(". ")
    command = error.ctx.command_path if getattr(error, "ctx", None) is not None else "inventory"
    return f"{text[:1].lower()}{text[1:]}; see {command} --help"
