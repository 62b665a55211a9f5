import ast
import re
from pathlib import Path

import pytest

import inventory

_HOME = Path(inventory.__file__).parent
_PACKAGES = ("api", "cli", "comparison", "display", "pipeline", "runs")
_NOUNS = (
    "accounts|bytes|calls|cells|changes|days|duplicates|entries|files|functions|hours|lines|minutes|projects|regions|"
    "rejects|rows|runs|scopes|seconds|URNs|versions"
)
_NUMBER_SPEC = re.compile(r"[,_]|\.\d|[deEfFgGn]$")


def parts_of(text):
    """Pairs of a value in an f-string and the text that follows it."""
    follows = [*text.values[1:], None]
    return [
        (value, following.value if isinstance(following, ast.Constant) else "")
        for value, following in zip(text.values, follows, strict=True)
        if isinstance(value, ast.FormattedValue)
    ]


def formats_number(value):
    if value.format_spec is None:
        return False
    spec = "".join(part.value for part in value.format_spec.values if isinstance(part, ast.Constant))
    return not spec.startswith("%Y") and (spec.endswith("%") or bool(_NUMBER_SPEC.search(spec)))


def names_count(value, following):
    is_counted = isinstance(value.value, ast.Call) and ast.unparse(value.value.func) in {"format_count", "_entries"}
    return not is_counted and re.match(rf" ((common|configured|failed|more) )?({_NOUNS})\b", following) is not None


def faults_of(source):
    return [
        ast.unparse(value)
        for text in ast.walk(ast.parse(source))
        if isinstance(text, ast.JoinedStr)
        for value, following in parts_of(text)
        if formats_number(value) or names_count(value, following)
    ]


@pytest.mark.parametrize(
    "text", ["{n:,} left", "{n:.0%}", "{n:g} s", "{n:,.1f}", "{n:+.0f}", "{n:d}", "{n} URNs", "{len(n)} failed URNs"]
)
def test_the_check_finds_numbers_with_a_format_of_their_own(text):
    assert faults_of(f"f{text!r}")


@pytest.mark.parametrize("text", ["{n:>{width}}", "{n:%Y-%m-%d}", "{format_count(n, 'URN')} left", "{path} contains"])
def test_the_check_accepts_text(text):
    assert faults_of(f"f{text!r}") == []


@pytest.mark.parametrize(
    "path",
    [path for name in _PACKAGES for path in sorted((_HOME / name).glob("*.py")) if path.name != "formatting.py"],
    ids=lambda path: str(path.relative_to(_HOME)),
)
def test_numbers_for_people_have_one_format(path):
    assert faults_of(path.read_text(encoding="utf-8")) == []
