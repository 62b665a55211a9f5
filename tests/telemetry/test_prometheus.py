"""Files that Prometheus' own parser reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from inventory.errors import OutputError, UsageError
from inventory.telemetry.metric import Metric, gauge
from inventory.telemetry.prometheus import check_metrics_file, read_sample, to_text, write_metrics_file

ONE = gauge("inventory_export_calls", "Calls of the cloud.", 3)


def parsed(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False) | st.integers(0, 2**53))
def test_labels_and_values_are_read_as_given(text, value):
    metric = Metric("inventory_x", "Help.", (({"name": text}, value), ({"name": "other" + text}, 0)))
    read = parsed(to_text([metric], {"file": text}))
    assert read == {
        ("inventory_x", ("file", text), ("name", text)): value,
        ("inventory_x", ("file", text), ("name", "other" + text)): 0,
    }


def test_a_file_has_help_type_and_a_label_of_its_name(tmp_path):
    write_metrics_file(tmp_path / "nightly.prom", [ONE, Metric("inventory_none", "Nothing.", ())])
    assert (tmp_path / "nightly.prom").read_text() == (
        "# HELP inventory_export_calls Calls of the cloud.\n"
        "# TYPE inventory_export_calls gauge\n"
        'inventory_export_calls{file="nightly"} 3\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["nightly.prom"]


def test_a_value_of_an_earlier_file_is_read_exactly(tmp_path):
    path = tmp_path / 'a"} 9\n.prom'
    assert read_sample(path, "inventory_y") is None
    write_metrics_file(path, [ONE, gauge("inventory_y", "Y.", 1795868878.125)])
    assert read_sample(path, "inventory_y") == 1795868878.125
    assert read_sample(path, "inventory") is None
    path.write_text("inventory_y 1.2.3\n")
    assert read_sample(path, "inventory_y") is None


@pytest.mark.parametrize(
    "content", [b"urn:fss:x\n", b"# HELP node_x Other.\n", b"# HELP inventory_review_x Other.\n", b"\0\xff"]
)
def test_another_file_is_not_replaced(tmp_path, content):
    path = tmp_path / "urns.txt"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"is not a file of inventory_export_\* metrics; move it away"):
        check_metrics_file(path, "inventory_export_")


def test_a_name_of_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / ".."):
        with pytest.raises(UsageError, match="names no file"):
            check_metrics_file(path, "inventory_export_")
    with pytest.raises(OutputError, match="there is no folder"):
        check_metrics_file(tmp_path / "none" / "x.prom", "inventory_export_")
    check_metrics_file(tmp_path / "new.prom", "inventory_export_")
    (tmp_path / "empty.prom").touch()
    check_metrics_file(tmp_path / "empty.prom", "inventory_export_")
