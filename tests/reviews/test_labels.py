from support.snapshots import BASE

from inventory.reviews import labels, short


def test_a_long_name_is_cut_in_the_middle():
    name = f"{BASE}{'x' * 60}"
    assert short(f"{BASE}f:!prod") == "default/f:!prod"
    assert short("not a urn", 40) == "not a urn"
    assert len(short(f"{name}:!prod", 20)) == 20
    assert short(f"{name}:!prod", 20).endswith("xxx:!prod")


def test_labels_are_unique():
    name = f"{BASE}{'x' * 60}"
    assert len(set(labels([f"{name}:v1", f"{name[:-1]}:v1", f"{name}:v2"], 20))) == 3
    assert labels([]) == []
