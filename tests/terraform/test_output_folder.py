"""Folders of projects that are written whole, and no file of a user is replaced."""

import hcl2
import pytest

from inventory.errors import OutputError
from inventory.terraform.generate import HEADER, Scope
from inventory.terraform.output_folder import find_stale, folder_name, write_folders

ONE, TWO = Scope("cn-north-4", "p1"), Scope("cn-north-4", "p2")
PIECES = [(ONE, f"# {HEADER}\n"), (ONE, "a\n"), (TWO, f"# {HEADER}\n"), (TWO, "b\n")]


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_project_has_a_folder_with_the_provider(tmp_path):
    written = write_folders(tmp_path / "new" / "tf", PIECES)
    folder = tmp_path / "new" / "tf"
    assert written == [folder / "cn-north-4_p1" / "async_invoke.tf", folder / "cn-north-4_p2" / "async_invoke.tf"]
    assert [path.read_text() for path in written] == [f"# {HEADER}\na\n", f"# {HEADER}\nb\n"]
    versions = hcl2.loads((folder / "cn-north-4_p1" / "versions.tf").read_text())
    assert "huaweicloud/huaweicloud" in str(versions)


def test_names_of_folders_are_unique_and_plain():
    scopes = [Scope("a", "b_c"), Scope("a_b", "c"), Scope("A", "b"), Scope("a", "b"), Scope("é", "b"), Scope("..", "b")]
    names = [folder_name(scope) for scope in scopes]
    assert len({name.lower() for name in names}) == len(scopes)
    assert all(name.isascii() and not set(name) & set('/\\:*?"<>|') for name in names)


def test_a_second_run_replaces_its_files_and_keeps_others(tmp_path):
    write_folders(tmp_path, PIECES)
    own = tmp_path / "cn-north-4_p1" / "main.tf"
    own.write_text("mine")
    written = write_folders(tmp_path, [(ONE, f"# {HEADER}\n"), (ONE, "new\n")])
    assert own.read_text() == "mine"
    assert written[0].read_text().endswith("new\n")
    assert find_stale(tmp_path, written) == [tmp_path / "cn-north-4_p2" / "async_invoke.tf"]


@pytest.mark.parametrize("name", ["async_invoke.tf", "versions.tf"])
def test_a_file_of_a_user_is_not_replaced(tmp_path, name):
    own = tmp_path / "cn-north-4_p2" / name
    own.parent.mkdir()
    own.write_text("mine")
    with pytest.raises(OutputError, match="is not a file of inventory terraform"):
        write_folders(tmp_path, PIECES)
    assert files(tmp_path) == {f"cn-north-4_p2/{name}": "mine"}


def test_an_error_in_the_middle_changes_no_file(tmp_path):
    write_folders(tmp_path, PIECES)
    before = files(tmp_path)

    def broken():
        yield ONE, "other\n"
        yield TWO, "other\n"
        raise OutputError("a table cannot be read")

    with pytest.raises(OutputError, match="a table"):
        write_folders(tmp_path, broken())
    assert files(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file cannot be written: .*; .*, or give another --output"):
        write_folders(tmp_path / "file", PIECES)


def test_a_run_without_projects_writes_nothing(tmp_path):
    assert write_folders(tmp_path / "tf", []) == []
    assert files(tmp_path) == {}
