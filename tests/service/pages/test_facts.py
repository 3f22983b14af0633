"""JSON of any shape as something to read."""

from service.pages.facts import facts, told


def test_pairs_lie_in_pairs_and_what_is_deeper_in_a_line():
    shown = facts({"a_b": {"c": {"estimate": 0.5, "interval": [0.4, 0.6]}}}, "Data")

    name, inner = shown["pairs"][0]
    assert name == "a b"
    assert inner["pairs"][0][1] == {"kind": "text", "text": "0.50 (0.40 to 0.60)"}


def test_rows_of_the_same_names_are_a_table():
    shown = facts([{"x": 1, "y": None}, {"x": 2, "y": True}], "Rows")

    assert (shown["columns"], shown["rows"]) == (["x", "y"], [["1", "–"], ["2", "yes"]])  # noqa: RUF001 - as written


def test_long_lists_say_how_much_is_left_out():
    assert told(list(range(100))).endswith("and 88 more")
    assert facts({str(i): i for i in range(50)}, "Many")["more"] == 10
    assert facts([{"x": i} for i in range(50)], "Rows")["more"] == 20


def test_a_seed_is_no_quantity():
    assert facts({"seed": 20260}, "Data")["pairs"][0][1]["text"] == "20260"


def test_a_tensor_is_told_in_a_line():
    assert told({"name": "x", "dtype": "float32", "shape": [None, 30]}) == "x, float32, any by 30"
