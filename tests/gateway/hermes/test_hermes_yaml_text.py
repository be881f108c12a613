from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.gateway.hermes.yaml_text import NotChangeableError, YamlText

ROUTE = {"deliver": "telegram", "prompt": "{text}", "deliver_extra": {"chat_id": "{reply_to.chat_id}"}}
WAY = ("platforms", "webhook", "extra", "routes", "kugetsu-telegram")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a:\n  b: 1\n"),
        ("# mine\n", "# mine\na:\n  b: 1\n"),
        ("x: 1 # one", "x: 1 # one\na:\n  b: 1\n"),
        ("a:\nx: 1\n", "a:\n  b: 1\nx: 1\n"),
        ("a: # none\nx: 1\n", "a: # none\n  b: 1\nx: 1\n"),
        ("a: ~\n", "a: {b: 1}\n"),
        ("a: {}\n", "a: {b: 1}\n"),
        ("a: {c: 2} # two\n", "a: {c: 2, b: 1} # two\n"),
        ("a: {\n  c: 2,\n}\n", "a: {\n  c: 2, b: 1}\n"),
        ("a:\n    c: 2 # two\n\n# x\nx: 1\n", "a:\n    c: 2 # two\n    b: 1\n\n# x\nx: 1\n"),
        ("a:\n  c: |\n    text\n    more\nx: 1\n", "a:\n  c: |\n    text\n    more\n  b: 1\nx: 1\n"),
        ("a:\n  b: 2 # old\nx: 1\n", "a:\n  b: 1 # old\nx: 1\n"),
        ("'a': {'b': 'two'}\n", "'a': {'b': 1}\n"),
    ],
)
def test_a_value_is_put_where_it_belongs_and_the_rest_stays(before: str, after: str) -> None:
    text = YamlText(before)

    text.put(("a", "b"), 1)

    assert text.text == after
    assert text.get(("a", "b")) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a:\n- x\n"),
        ("a: []\n", "a: [x]\n"),
        ("a: [y] # why\n", "a: [y, x] # why\n"),
        ("a:\n- y # why\n# z\nb: 1\n", "a:\n- y # why\n- x\n# z\nb: 1\n"),
        ("a:\n    - y\n    - z\n", "a:\n    - y\n    - z\n    - x\n"),
        ("a:\n  - x\n", "a:\n  - x\n"),
    ],
)
def test_an_item_is_added_once(before: str, after: str) -> None:
    text = YamlText(before)

    text.add(("a",), "x")
    text.add(("a",), "x")

    assert text.text == after


def test_an_item_is_removed_from_either_kind_of_list() -> None:
    text = YamlText("a: [x, y]\nb:\n- x\n- y # why\nc: 1\n")

    for name in ("a", "b", "nothing"):
        text.remove((name,), "x")

    assert text.data == {"a": ["y"], "b": ["y"], "c": 1}


def test_the_same_again_changes_nothing() -> None:
    text = YamlText("# mine\nplatforms:\n  telegram: {enabled: true}\n")
    text.put(WAY, ROUTE)
    once = text.text

    text.put(WAY, dict(ROUTE))

    assert text.text == once
    assert once.startswith("# mine\nplatforms:\n  telegram: {enabled: true}\n  webhook:\n    extra:\n")


@pytest.mark.parametrize(
    "strange",
    [
        "- a\n- b\n",
        "a: [1\n",
        "a: 1\n---\nb: 2\n",
        "platforms: yes please\n",
        "base: &base\n  webhook: {x: 1}\nplatforms:\n  <<: *base\n",
        "one: &one {x: 1}\nplatforms: *one\n",
        "one: &one [*one]\n",
    ],
)
def test_what_cannot_be_changed_safely_is_refused_and_stays(strange: str) -> None:
    with pytest.raises(NotChangeableError):  # noqa: PT012 - already reading may refuse it
        text = YamlText(strange)
        text.put(WAY, ROUTE)


_NAMES = st.sampled_from(["a", "b", "platforms", "webhook", "x y", "n: o", "#"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("two\nlines\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(
    data=st.dictionaries(_NAMES, _VALUES, max_size=4),
    flow=st.sampled_from([True, False, None]),
    indent=st.sampled_from([2, 4]),
    way=st.lists(_NAMES, min_size=1, max_size=4),
    value=_VALUES,
)
def test_a_change_says_exactly_what_was_wanted_or_is_refused(
    data: dict[str, Any], flow: bool | None, indent: int, way: list[str], value: object
) -> None:
    text = YamlText(yaml.safe_dump(data, default_flow_style=flow, indent=indent, allow_unicode=True))
    wanted, there = text.data, text.get(tuple(way))
    try:
        text.put(tuple(way), value)
    except NotChangeableError:
        assert text.data == wanted
        return
    if there == value:
        assert text.data == wanted
        return
    inner = wanted
    for name in way[:-1]:
        if inner.get(name) is None:
            inner[name] = {}
        inner = inner[name]
    inner[way[-1]] = value
    assert text.data == wanted
