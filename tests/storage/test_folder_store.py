import hashlib
import io

import pytest

from inventory.errors import OutputError
from inventory.storage.folder_store import FolderStore, hash_file, open_store
from inventory.storage.object_store import Sent


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "place")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"x" * 3_000_000)
    return path


def test_a_file_is_put_listed_read_fetched_and_removed(store, source):
    assert store.listed(("shards",)) == {}
    reported = []
    sent = store.put("shards/one", source, reported.append)
    assert sent == Sent(3_000_000, hashlib.sha256(source.read_bytes()).hexdigest()) == hash_file(source)
    assert reported == [3_000_000]
    assert list(store.listed(("shards",))) == ["shards/one"]
    assert store.listed() == {}
    assert store.look_at("shards/one").size == 3_000_000
    assert store.look_at("shards") is None
    sink = io.BytesIO()
    assert store.fetch("shards/one", sink) == sent
    assert sink.getvalue() == store.read("shards/one") == source.read_bytes()
    store.remove("shards/one")
    store.remove("shards/one")
    assert store.look_at("shards/one") is None


def test_a_file_has_its_name_when_it_is_complete(store, source, monkeypatch):
    store.put("one", source, lambda _sent: None)
    monkeypatch.setattr("inventory.storage.folder_store._CHUNK_BYTES", 10)

    def broken(*_any):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inventory.storage.folder_store._copy", broken)
    with pytest.raises(OutputError, match="one cannot be written: No space left on device"):
        store.put("one", source, lambda _sent: None)
    assert store.listed().keys() == {"one"}
    assert store.look_at("one").size == 3_000_000


@pytest.mark.parametrize("action", [lambda store: store.read("a/b"), lambda store: store.fetch("a/b", io.BytesIO())])
def test_what_cannot_be_read_is_one_sentence(store, action):
    with pytest.raises(OutputError, match="b cannot be read: No such file or directory"):
        action(store)
    with pytest.raises(OutputError, match="cannot be read"):
        hash_file(store.folder)


def test_a_folder_in_the_place_of_a_file_is_one_sentence(store, source):
    (store.folder / "one").mkdir(parents=True)
    with pytest.raises(OutputError, match="one cannot be removed"):
        store.remove("one")
    (store.folder / "file").write_text("")
    with pytest.raises(OutputError, match="two cannot be written"):
        store.put("file/two", source, lambda _sent: None)


def test_a_url_is_a_store_and_any_other_text_a_folder(tmp_path):
    assert str(open_store(str(tmp_path), {})) == str(tmp_path)
    store = open_store("s3://bucket/prefix", {"AWS_REGION": "eu-west-1"})
    assert str(store) == "s3://bucket/prefix"
