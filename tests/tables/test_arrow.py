from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.tables.arrow import TYPES, first_bytes, take_rows, to_array

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("values", "type_name"),
    [
        (["", None, "a\0b", "é\n", "😀" * 10], "string"),
        ([0, None, -(2**63), 2**63 - 1], "int64"),
        ([True, None, False], "bool"),
        ([0.1, None, -1e300], "double"),
        ([], "string"),
        ([], "bool"),
        ([None, None], "string"),
        ([None] * 9, "bool"),
        ([None], "int64"),
    ],
)
def test_values_come_out_as_they_went_in(values, type_name):
    array = to_array(values, TYPES[type_name])
    array.validate(full=True)
    assert array.to_pylist() == values
    assert array.null_count == values.count(None)


def test_times_are_microseconds_in_utc():
    array = to_array(
        [1614840602000001, None, -1, -62135596800000000, 253402300799999999], TYPES["timestamp[us, tz=UTC]"]
    )
    assert array.type == pa.timestamp("us", tz="UTC")
    assert [None if text is None else text.rstrip("Z") for text in array.cast(pa.string()).to_pylist()] == [
        "2021-03-04 06:50:02.000001",
        None,
        "1969-12-31 23:59:59.999999",
        "0001-01-01 00:00:00.000000",
        "9999-12-31 23:59:59.999999",
    ]


@given(
    st.lists(st.none() | st.text(max_size=20), max_size=30) | st.lists(st.sampled_from(["é", "é", "", None])),
    st.lists(st.none() | INT64),
    st.lists(st.none() | st.booleans()),
)
def test_arrays_are_those_that_arrow_makes(texts, numbers, flags):
    for values, arrow_type in ((texts, pa.string()), (numbers, pa.int64()), (flags, pa.bool_())):
        array = to_array(values, arrow_type)
        array.validate(full=True)
        assert array.equals(pa.array(values, arrow_type))


@given(st.lists(st.none() | st.text(max_size=3)), st.integers(0, 3))
def test_first_bytes_are_those_of_the_texts_that_have_some(texts, skipped):
    array = to_array(texts, pa.string()).slice(skipped)
    assert list(first_bytes(array)) == [text.encode()[0] for text in texts[skipped:] if text]


def test_absent_rows_next_to_a_large_text_need_no_memory():
    texts = pa.array(["x" * 1_000_000, None, "a"])
    numbers = np.array([-1, 2, 0, 1, *[-1] * 500, 0])
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    try:
        taken = take_rows(texts, numbers)
        table = take_rows(pa.table({"text": texts[1:], "number": [1, 2]}), numbers[:2] - 1)
    finally:
        pa.set_memory_pool(before)
    values, cells, peak = taken.to_pylist(), table.to_pylist(), pool.max_memory()
    taken.validate(full=True)
    del taken, table  # before their pool
    assert values == [None, "a", "x" * 1_000_000, None, *[None] * 500, "x" * 1_000_000]
    assert cells == [{"text": None, "number": None}, {"text": "a", "number": 2}]
    assert peak < 5_000_000
