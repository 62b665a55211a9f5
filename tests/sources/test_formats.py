from __future__ import annotations

import gzip
import hashlib
import io
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.errors import SourceError
from inventory.sources.files import Entry, ReadOptions, Source
from inventory.sources.json_documents import read_json

A = "urn:fss:cn-north-4:p:function:default:a"
B = "urn:fss:cn-north-4:p:function:default:b:!prod"


def _nested(values):
    names = st.sampled_from(["functions", "values", "resources", "urn", "value", "sensitive", "instances", "type"])
    return st.lists(values, max_size=4) | st.dictionaries(names, values, max_size=4)


@pytest.fixture
def source(tmp_path):
    def source(name: str, content: bytes | str, column: str | None = None) -> Source:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source(str(path), column)

    return source


def broken(source: Source) -> str:
    with pytest.raises(SourceError) as caught:
        list(source.read())
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (json.dumps([A, B]), [Entry(1, A), Entry(1, B)]),
        (json.dumps([A, B], indent=2), [Entry(2, A), Entry(3, B)]),
        (json.dumps([{"func_urn": A}, {"urn": B, "x": [1]}], indent=1), [Entry(2, A), Entry(5, B)]),
        (f'  [ "{A}" , "{B}" ] \n', [Entry(1, A), Entry(1, B)]),
        (f'\n\n["{A}"]', [Entry(3, A)]),
        ("[1, null, true, [2], {}]", None),
    ],
)
def test_arrays(source, text, entries):
    read = list(source("l.json", text).read())
    if entries is None:
        assert [(entry.line, entry.text) for entry in read] == [
            (1, "1"),
            (1, "null"),
            (1, "true"),
            (1, "[2]"),
            (1, "{}"),
        ]
        assert all(entry.reason for entry in read)
    else:
        assert read == entries


def resource(urn: str | None, kind: str = "huaweicloud_fgs_function", **more) -> dict:
    values = {"id": f"{urn}:latest", "urn": urn, "version": "latest", "encrypted_user_data": "hunter2"}
    return {"address": f"{kind}.f", "mode": "managed", "type": kind, "name": "f", "values": values} | more


def state(*resources: dict, **more) -> dict:
    module = {"resources": list(resources)} | more
    return {"format_version": "1.0", "terraform_version": "1.9.0", "values": {"outputs": {}, "root_module": module}}


F = A.removesuffix(":latest")
FUNCTION = {"func_urn": F, "func_name": "a", "user_data": '{"PASSWORD": "hunter2"}', "version": "latest"}
OTHER = {"address": "huaweicloud_vpc.v", "mode": "managed", "type": "huaweicloud_vpc", "values": {"id": "x"}}
DATA = {"urn": None, "functions": [{"urn": A}, {"urn": B}]}
ONES = {
    "functions": ({"functions": [FUNCTION, {"func_urn": B}], "next_marker": 2, "count": 2}, [F, B]),
    "no functions": ({"functions": None, "count": 0}, []),
    "one function": (FUNCTION, [F]),
    "configs": ({"async_invoke_configs": [{"func_urn": B}], "page_info": {"next_marker": 0}}, [B]),
    "versions": ({"versions": [FUNCTION, FUNCTION | {"version": "v1"}], "count": 2}, [f"{F}:latest", f"{F}:v1"]),
    "aliases": ([{"name": "prod", "version": "v1", "alias_urn": B}], [B]),
    "pages": ([{"functions": [FUNCTION]}, {"functions": [{"func_urn": B}]}], [F, B]),
    "output": (
        {
            "password": {"sensitive": True, "type": "string", "value": "hunter2"},
            "urns": {"sensitive": False, "type": ["list", "string"], "value": [A, B]},
            "by_name": {"sensitive": False, "type": ["map", "string"], "value": {"b": {"x": B}}},
        },
        [A, B, B],
    ),
    "output of a map": ({"a": A, "b": B}, [A, B]),
    "state": (state(resource(A), OTHER, child_modules=[{"resources": [resource(B)], "address": "module.m"}]), [A, B]),
    "data source": (state(resource("", "huaweicloud_fgs_functions", mode="data", values=DATA)), [A, B]),
    "config": (state({"type": "huaweicloud_fgs_async_invoke_configuration", "values": {"function_urn": A}}), [A]),
    "other cloud": (state(resource(B, "opentelekomcloud_fgs_function_v2")), [B]),
    "raw state": (
        {
            "version": 4,
            "outputs": {"x": {"value": "hunter2", "type": "string"}},
            "resources": [
                {"mode": "managed", "type": "huaweicloud_fgs_function", "instances": [{"attributes": {"urn": A}}]},
                {"mode": "managed", "type": "huaweicloud_vpc", "instances": [{"attributes": {"urn": "x"}}]},
            ],
        },
        [A],
    ),
    "plan": (
        {"format_version": "1.2", "planned_values": {"root_module": {}}, "prior_state": state(resource(A))},
        [A],
    ),
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ONES)
def test_what_the_api_the_sdk_and_terraform_print(source, name, indent):
    value, expected = ONES[name]
    text = json.dumps(value, indent=indent)
    entries = list(source("l.json", text).read())
    assert [(entry.text, entry.reason) for entry in entries] == [(urn, None) for urn in expected]
    assert all(entry.line == 1 or indent for entry in entries)
    assert "hunter2" not in repr(entries)


def test_pages_one_behind_the_other(source):
    text = json.dumps({"functions": [FUNCTION]}) + "\n" + json.dumps({"functions": [{"func_urn": B}]}) + "\n"
    for name in ("l.json", "l.jsonl"):
        assert list(source(name, text).read()) == [Entry(1, F), Entry(2, B)]


def test_an_output_of_terraform_is_chosen_by_name(source):
    sent = {"names": {"sensitive": False, "value": ["a", "b"]}, "password": {"sensitive": True, "value": "hunter2"}}
    assert [entry.text for entry in source("l.json", json.dumps(sent), "names").read()] == ["a", "b"]
    for column in (None, "password"):
        message = broken(source("l.json", json.dumps(sent), column))
        assert "its fields: 'names', 'password'" in message
        assert "hunter2" not in message


def test_items_without_a_urn_show_no_values(source):
    text = json.dumps({"functions": [{"func_name": "a", "user_data": "hunter2"}]})
    (entry,) = source("l.json", text).read()
    assert (entry.text, entry.reason) == ('{"func_name", "user_data"}', "no field with a URN; see --column")
    (entry,) = source("l.json", json.dumps(state(resource(None)))).read()
    assert (entry.text, entry.reason) == (
        "huaweicloud_fgs_function.f",
        "a function of Terraform without a URN: it was not created",
    )


@pytest.mark.parametrize("text", [repr([A]), repr({"functions": [{"func_urn": A}]})])
def test_what_python_prints_is_named(source, text):
    assert "what Python prints: write it with json.dumps" in broken(source("l.json", text))


@pytest.mark.parametrize(
    "text",
    [
        '{"functions": [{"func_urn": "urn',
        '{"functions": [{"func_urn": "urn:fss:r:p:function:default:a"}]',
        '{"functions": []',
        '{"functions": [],}',
        '{"functions" []}',
        '{"values": {"root_module": {"resources": [{"type": "x"}',
        '{"x": [' + "[" * 100_000,
        '{"values": ' + '{"root_module": ' * 1000 + "1",
        '{"error_code": "FSS.0401", "error_msg": "no"}',
        "{}",
    ],
)
def test_an_object_that_is_no_list_is_refused(source, text):
    assert broken(source("l.json", text)).startswith(str(source("l.json", text).name))


def test_a_large_state_is_read_in_bounded_memory(source):
    resources = [resource(f"{F}{number}", tags="x" * 300) for number in range(10_000)]
    plan = {"format_version": "1.2", "planned_values": {"root_module": {"resources": resources}}}
    read = source("l.json", json.dumps(plan | {"prior_state": state(*resources)}))
    tracemalloc.start()
    try:
        entries = sum(1 for _ in read.read())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert entries == 10_000
    assert peak < 2_000_000


def test_a_value_that_is_too_large_says_so(source):
    sent = {"urns": {"sensitive": False, "value": ["x" * 1000] * 10_000}}
    message = broken(source("l.json", json.dumps(sent)))
    assert "a value of over 4,194,304 characters at line 1" in message
    assert "terraform output -json NAME" in message


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), _nested, max_leaves=20), st.data())
def test_any_json_is_a_list_or_is_refused(value, data):
    text = json.dumps(value, indent=data.draw(st.sampled_from([None, 1]))).encode()

    def outcome(stream):
        try:
            return list(read_json(stream, ReadOptions("l.json", None, ",")))
        except SourceError as error:
            return error.message

    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    assert outcome(io.BytesIO(text)) == outcome(Slow(text))


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_larger_than_a_block(source, indent):
    urns = [f"{A}{n:05d}" + "é" * (n % 7) for n in range(9000)]
    read = source("l.json", json.dumps(urns, indent=indent, ensure_ascii=False))
    entries = list(read.read())
    assert [entry.text for entry in entries] == urns
    assert [entry.line for entry in entries] == ([1] * 9000 if indent is None else list(range(2, 9002)))
    assert read.entries == 9000


def test_a_number_at_the_end_of_a_block_is_one_number(source):
    read = source("l.json", "[" + " " * (65536 - 3) + "1234567]")
    assert [entry.text for entry in read.read()] == ["1234567"]


@pytest.mark.parametrize("text", ["7", json.dumps({"urns": [A]}), "", "  \n", A, "null", "\ufeff\ufeff[]"])
def test_what_is_no_array_is_refused(source, text):
    assert "JSON array" in broken(source("l.json", text))


@pytest.mark.parametrize(
    "text", [f'["{A}"', f'["{A}", "urn:fss', f'["{A}",', "[", f'["{A}", nope]', f'["{A}", {{"urn": ]']
)
def test_an_array_that_breaks_off_is_refused(source, text):
    assert "no whole JSON array" in broken(source("l.json", text))


@pytest.mark.parametrize("text", [f'["{A}"]\n["{B}"]', f'["{A}"] "{B}"', f'["{A}"], "{B}"'])
def test_what_stands_behind_the_array_is_not_lost(source, text):
    try:
        texts = [entry.text for entry in source("l.json", text).read()]
    except SourceError:
        return
    assert texts == [A, B]


def test_an_array_that_is_not_utf8_is_refused(source):
    assert "UTF-8" in broken(source("l.json", b'["\xe9"]'))


def test_an_element_of_a_megabyte_is_a_defined_outcome(source):
    read = source("l.json", json.dumps([A, "x" * 1_000_000, B]))
    try:
        entries = list(read.read())
    except SourceError as error:
        assert "l.json" in error.message  # noqa: PT017 - both outcomes are valid
    else:
        assert [entries[0], entries[2]] == [Entry(1, A), Entry(1, B)]


@pytest.mark.parametrize("line", ["{", "nope", '"a" "b"', "[" * 100_000, "9" * 5000, "{'urn': 1}"])
def test_a_broken_line_of_jsonl_is_an_entry_with_a_reason(source, line):
    first, second = source("l.jsonl", f"{line}\n{json.dumps(B)}\n").read()
    assert first.line == 1
    assert first.reason
    assert second == Entry(2, B)


@pytest.mark.parametrize("line", ["12", "null", "[1]", '{"name": "x"}', '{"urn": 5}', '{"urn": null}', "true"])
def test_a_line_without_a_urn_is_an_entry_with_a_reason(source, line):
    (entry,) = source("l.jsonl", line).read()
    assert entry.line == 1
    assert entry.reason


@pytest.mark.parametrize("name", ["l.json", "l.jsonl"])
def test_entries_can_always_be_written_down(source, name):
    text = f'["{A}\\ud800"]' if name == "l.json" else f'"{A}\\ud800"'
    (entry,) = source(name, text).read()
    assert entry.text.encode()
    assert entry.reason


def table(tmp_path, column, name="function_urn", **more) -> Source:
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({**more, name: column}), path, row_group_size=3)
    return Source(str(path))


@pytest.mark.parametrize("zipped", [False, True])
def test_parquet(tmp_path, zipped):
    read = table(tmp_path, [A, B] * 5, other=list(range(10)))
    if zipped:
        path = tmp_path / "l.parquet.gz"
        path.write_bytes(gzip.compress((tmp_path / "l.parquet").read_bytes()))
        read = Source(str(path))
    assert list(read.read()) == [Entry(n + 1, [A, B][n % 2]) for n in range(10)]
    with open(read.name, "rb") as file:  # noqa: PTH123 - the source's name
        assert read.sha256 == hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_texts_of_every_type(tmp_path, kind):
    assert list(table(tmp_path, pa.array([A, B, A]).cast(kind)).read()) == [Entry(1, A), Entry(2, B), Entry(3, A)]


def test_parquet_nulls_are_entries_with_a_reason(tmp_path):
    first, second, third = table(tmp_path, [A, None, B]).read()
    assert (first, third) == (Entry(1, A), Entry(3, B))
    assert (second.line, second.text) == (2, "")
    assert "null" in second.reason


def test_a_parquet_column_of_nulls_only(tmp_path):
    assert [entry.line for entry in table(tmp_path, pa.nulls(2)).read() if entry.reason] == [1, 2]


def test_a_parquet_column_of_numbers_is_no_urn(tmp_path):
    assert [entry.text for entry in table(tmp_path, [1, 2]).read()] == ["1", "2"]


def test_a_parquet_column_of_lists_is_refused(tmp_path):
    assert "does not hold text" in broken(table(tmp_path, [[A], [B]]))


def test_a_parquet_file_without_the_column(tmp_path):
    assert "its columns: 'x', 'y'" in broken(table(tmp_path, [1], "y", x=[2]))


@pytest.mark.parametrize("cut", [0, 4, 100, -1, -20])
def test_a_truncated_parquet_file_is_refused(tmp_path, cut):
    read = table(tmp_path, [A] * 50)
    path = tmp_path / "l.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    assert "l.parquet" in broken(read)


def test_an_empty_parquet_list(tmp_path):
    assert list(table(tmp_path, pa.array([], pa.string())).read()) == []


@pytest.mark.parametrize(
    ("header", "column"),
    [("FUNC_URN", None), ("Function URN", None), ('"func-urn",', None), ("\u200bUrn", None), ("My URN", "my urn")],
)
@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_header_of_one_column_is_matched_as_in_a_table(source, name, header, column):
    entries = list(source(name, f"{header}\n{A}\nurn\n", column).read())
    assert [entry.text for entry in entries] == [A, "urn"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", '[{"function_urn":"A","function_urn":"B"}]'),
        ("list.jsonl", '{"function_urn":"A","function_urn":"B"}\n'),
        ("list.jsonl", '{"function_urn":"A","function\\u005furn":"B"}\n'),
        ("list.json", '{"versions":[{"func_urn":"A","version":"1","version":"2"}]}'),
        ("list.jsonl", '{"functions":["A"],"functions":["B"]}\n'),
    ],
)
def test_a_field_that_has_two_values_is_a_reject(source, name, text):
    (entry,) = source(name, text.replace('"A"', f'"{A}"').replace('"B"', f'"{B}"')).read()
    assert "the object has several fields" in entry.reason


def test_a_repeated_field_with_one_value_is_read(source):
    assert [entry[1:3] for entry in source("list.json", f'[{{"urn":"{A}","urn":"{A}"}}]').read()] == [(A, None)]


def test_two_columns_of_one_name_are_refused(source, tmp_path):
    assert "2 columns 'urn'; rename all but one" in broken(source("list.csv", f"urn,name,urn\n{A},x,{B}\n"))
    path = tmp_path / "list.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([A]), pa.array([B])], names=["urn", "urn"]), path)
    assert "2 columns 'urn'; rename all but one" in broken(Source(str(path)))


@pytest.mark.parametrize(
    ("name", "text", "column"),
    [
        ("list.json", '{"note":1,"urns":["A","B"]}', "urns"),
        ("list.json", '{"urns":{"value":["A","B"],"sensitive":false}}', "urns"),
        ("list.json", '{"data":{"urns":["A",{"of":"B"}],"name":"x"}}', "data"),
        ("list.json", '{"data":{"functions":[{"func_urn":"A"},{"func_urn":"B"}]}}', "data"),
        ("list.json", '{"Functions":[{"func_urn":"A"},{"func_urn":"B"}]}', "Functions"),
        ("list.jsonl", '{"urns":["A","B"]}\n', "urns"),
        ("list.json", '[{"urns":["A"]},{"urns":["B"]}]', "urns"),
        ("list.json", ' "A" ', None),
    ],
)
def test_column_chooses_a_field_of_a_json_list(source, name, text, column):
    entries = list(source(name, text.replace('"A"', f'"{A}"').replace('"B"', f'"{B}"'), column).read())
    assert [entry[1:3] for entry in entries] == [(A, None), (B, None)][: len(entries)]
    assert len(entries) == 1 + ('"B"' in text)


def test_texts_in_lines_belong_into_jsonl(source):
    assert "more behind the text, at line 2; a list" in broken(source("list.json", f'"{A}"\n"{B}"\n'))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary()), pa.string()])
def test_a_cell_that_is_not_utf8_is_one_reject(tmp_path, kind):
    path = tmp_path / "list.parquet"
    cells = pa.array([A.encode(), b"urn:\xff", None, B.encode()], pa.binary())
    if kind == pa.string():
        cells = cells.view(kind)  # no check
    elif pa.types.is_dictionary(kind):
        cells = cells.dictionary_encode()
    else:
        cells = cells.cast(kind)
    pq.write_table(pa.table({"urn": cells}), path)
    entries = [(entry.text, entry.reason) for entry in Source(str(path)).read()]
    assert entries == [(A, None), ("urn:\ufffd", "not UTF-8"), ("", "the cell is empty (null)"), (B, None)]


def test_text_in_utf32_and_gzip_in_gzip_are_named(source):
    for encoding in ("utf-32", "utf-32-le", "utf-32-be"):
        assert "is UTF-32 text" in broken(source("list.txt", f"{A}\n".encode(encoding)))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        assert "is UTF-16 text" in broken(source("list.txt", f"{A}\n".encode(encoding)))
    twice = gzip.compress(gzip.compress(A.encode()))
    assert "compressed with gzip twice; decompress it first, once" in broken(source("list.txt.gz", twice))


def test_an_array_on_a_line_is_called_an_array(source):
    (entry,) = source("list.jsonl", f'["{A}"]\n').read()
    assert entry.reason == "an array: a line of a .jsonl list is a text or an object"


def test_title_lines_above_the_header_get_advice(source):
    assert "remove the lines above the header" in broken(source("list.csv", f"My report\nfunction_urn,name\n{A},x\n"))
