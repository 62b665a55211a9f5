"""Reading lists of the API: names and the fields that are kept, nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.cloud.listed_fields import ListedItem
from inventory.cloud.pages import FunctionPage, read_aliases, read_functions, read_versions

URN = "urn:fss:cn-north-4:p:function:default:f"


def sent(value):
    return json.dumps(value).encode()


def test_page_of_functions_is_read():
    items = [{"func_urn": URN, "user_data": "secret"}, {"func_urn": f"{URN}2:latest", "version": "latest"}]
    page = read_functions(sent({"functions": items, "next_marker": "2", "count": 950}))
    assert (page.urns, page.next_marker, page.total) == ([URN, f"{URN}2"], 2, 950)
    assert [item.kept for item in page.functions] == ["{}", '{"version":"latest"}']
    assert "secret" not in repr(page)


@pytest.mark.parametrize("body", [{"functions": None}, {"functions": []}, {"functions": [], "count": True}])
def test_null_list_is_empty(body):
    assert read_functions(sent(body)) == FunctionPage([], None, None)


def test_versions_and_aliases_are_read():
    versions = [{"version": "latest", "timeout": 3, "user_data": "secret"}, {"version": "v1.0"}]
    assert read_versions(sent({"versions": versions})) == [
        ListedItem("latest", '{"timeout":3,"version":"latest"}'),
        ListedItem("v1.0", '{"version":"v1.0"}'),
    ]
    aliases = [{"name": "prod", "version": "v1.0", "description": "secret"}]
    assert read_aliases(sent(aliases)) == [ListedItem("prod", '{"version":"v1.0"}')]
    assert read_aliases(b"null") == []


@pytest.mark.parametrize(
    ("read", "body", "reason"),
    [
        (read_functions, [], "no object with functions"),
        (read_functions, {}, "no object with functions"),
        (read_functions, {"functions": {}}, "no list"),
        (read_functions, {"functions": [{}]}, "an item without func_urn"),
        (read_functions, {"functions": ["x"]}, "an item without func_urn"),
        (read_functions, {"functions": [{"func_urn": "urn:smn:a:b:c"}]}, "another service"),
        (read_versions, {"versions": [{"version": 1}]}, "an item without version"),
        (read_versions, {"versions": [{"version": "latest"}], "count": 25}, "1 of 25 versions"),
        (read_versions, [], "no object with versions"),
        (read_aliases, {}, "no list"),
    ],
)
def test_invalid_list_is_an_error(read, body, reason):
    with pytest.raises(Exception, match=reason) as caught:
        read(sent(body))
    assert isinstance(caught.value, ValueError)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_a_list_or_a_value_error(value):
    for read in (read_functions, read_versions, read_aliases):
        for body in (value, {"functions": value}, {"versions": value}):
            try:
                found = read(sent(body))
            except ValueError:
                continue
            names = found.urns if isinstance(found, FunctionPage) else [item.name for item in found]
            assert all(isinstance(name, str) and name for name in names)
