from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepracer_inference.errors import UserError
from deepracer_inference.yaml_text import edit_yaml_text, read_yaml_text, write_yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 0.0003),
        ("1.", 1.0),
        (".5", 0.5),
        ("+3", 3),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("1:30", "1:30"),
        ("2022-01-01", "2022-01-01"),
        ("1_000", "1_000"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("-.inf", -math.inf),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    read = read_yaml_text(f"key: {text}", "file")
    assert read == {"key": value}
    assert isinstance(read, dict) and type(read["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("a: 1\nb: [1, 2\n", "line 3, column 1"),
        ("a: 1\nb: {x: 1,\n  x: 2}", "line 3, column 3: the key 'x' stands here twice"),
        ("a: &x [1]\nb: *x", r"line 2, column 4: aliases \(\*name\) are not supported"),
        ("&x [*x]", "aliases"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4: the tag .* is not supported"),
        ("a: !!binary aGk=", "is not supported"),
        ("a: !!int x", "not a valid int"),
        ("a: !!float [x]", "not a valid float"),
        ("a: !!bool x", "not a valid bool"),
        ("a: !!map x", "a mapping .* is expected"),
        ("? [a]\n: b", "a key must be a plain word"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a:\n\tb: 1", "line 2, column 1"),
        ("a: 1\nb: \x01", r"line 2 holds the unprintable character U\+0001"),
        ("a: " + "9" * 5000, "not a valid int"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_a_wrong_document_is_explained_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_yaml_text(text, "some.yaml")
    assert str(caught.value).startswith("some.yaml ")


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!#|>'\"%@`?,. \n\t01e~\\x"), max_size=60))
def test_any_text_is_read_or_refused_clearly(text: str) -> None:
    try:
        read_yaml_text(text, "file")
    except UserError as error:
        assert str(error).startswith("file ")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["1e-3", "no", "010", "0o7", "1:30", "null", ".5", "~", "=", "<<", "- a", "2022-01-01", ".inf"])
)


@given(
    st.dictionaries(
        st.text("abc1", min_size=1),
        st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
        min_size=1,
    )
)
def test_written_data_is_read_back_unchanged(data: dict[str, object]) -> None:
    assert read_yaml_text(write_yaml_text(data), "file") == data


CONFIGURATION = """\
# my car
name: rookie  # the first

space:
  # tight bends
  steering: {low: -30.0, high: 30.0}  # degrees
learning:
    rate: 3e-4  # was 1e-3
    # nothing more
race:  # alone
list:
- 1  # x
# the end
"""


@pytest.mark.parametrize(
    ("place", "value", "edited"),
    [
        ("name", "no", {"name: rookie  #": "name: no  #"}),
        ("learning.rate", 0.001, {"3e-4": "0.001"}),
        ("learning.batch", 64, {"# was 1e-3": "# was 1e-3\n    batch: 64"}),
        ("learning.rate", 0.0003, {}),
        ("space.steering.high", 20.0, {" {low: -30.0, high: 30.0}": "\n    low: -30.0\n    high: 20.0"}),
        ("race", {"boxes": {"number": 3}}, {"race:": "race:\n  boxes:\n    number: 3"}),
        ("list", [1, 2], {"- 1  # x": "  - 1\n  - 2  # x"}),
        ("more", None, {"- 1  # x": "- 1  # x\nmore: null"}),
        ("race", ..., {"race:  # alone\n": ""}),
        ("learning", ..., {"learning:\n    rate: 3e-4  # was 1e-3\n": ""}),
    ],
)
def test_editing_keeps_what_does_not_change(place: str, value: object, edited: dict[str, str]) -> None:
    data: Any = read_yaml_text(CONFIGURATION, "file")
    *parents, leaf = place.split(".")
    section = data
    for name in parents:
        section = section[name]
    if value is ...:
        del section[leaf]
    else:
        section[leaf] = value
    expected = CONFIGURATION
    for before, after in edited.items():
        assert expected.count(before) == 1
        expected = expected.replace(before, after)
    assert edit_yaml_text(CONFIGURATION, data) == expected
    assert read_yaml_text(expected, "file") == data


NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(*[st.dictionaries(st.sampled_from("abcd"), NESTED, min_size=1)] * 2)
def test_an_edited_document_says_what_it_has_to(before: dict[str, object], after: dict[str, object]) -> None:
    text = "# head\n" + write_yaml_text(before)
    assert read_yaml_text(edit_yaml_text(text, after), "file") == after
