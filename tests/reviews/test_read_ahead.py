import pytest

from inventory.reviews.read_ahead import read_ahead


def test_all_items_come_in_order():
    assert list(read_ahead(iter(range(100)))) == list(range(100))


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_at_most_one_item_is_prepared_and_none_after_the_reader_left():
    prepared = []

    def items():
        for number in range(100):
            prepared.append(number)
            yield number

    ahead = read_ahead(items())
    assert [next(ahead), next(ahead)] == [0, 1]
    ahead.close()
    assert len(prepared) <= 3
