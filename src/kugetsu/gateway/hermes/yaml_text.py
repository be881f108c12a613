"""Changes in a YAML file of somebody else: the rest of the text, comments included, stays as it is.

Whatever cannot be changed so is refused: after every change the text is read again and must say what was wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import yaml

Way: TypeAlias = tuple[str, ...]
"""Names of keys, from the outermost."""

_WIDE: Final = 10_000
_STEP: Final = 2


class NotChangeableError(ValueError):
    """A file is written in a way that cannot be changed safely, or is no YAML; the message says why."""


class YamlText:
    """The text of a YAML file whose top is a mapping.

    Attributes:
        text: as it is now.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._load(text)

    @property
    def data(self) -> dict[str, Any]:
        """What the text says now."""
        return self._load(self.text)

    def get(self, way: Way) -> Any:  # noqa: ANN401 - whatever is there
        """What is at a place; None when nothing is."""
        found: Any = self.data
        for name in way:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def put(self, way: Way, value: object) -> None:
        """Set what is at a place; mappings on the way are made.

        Raises:
            NotChangeableError: it cannot be done without touching anything else.
        """
        if self.get(way) == value:
            return
        wanted = self.data
        table = wanted
        for name in way[:-1]:
            inner = table.get(name)
            table[name] = table = {} if inner is None else inner
            if not isinstance(table, dict):
                raise NotChangeableError(f"`{'.'.join(way)}` cannot be set: `{name}` is no mapping")
        table[way[-1]] = value
        self._change(lambda root: _put(self.text, root, way, value), wanted)

    def add(self, way: Way, item: str) -> None:
        """Add an item to a list, which is made if it is not there.

        Raises:
            NotChangeableError: as for `put`.
        """
        found = self.get(way)
        if found is None:
            self.put(way, [item])
            return
        if not isinstance(found, list):
            raise NotChangeableError(f"`{'.'.join(way)}` is no list")
        if item not in found:
            wanted = self.data
            _at(wanted, way).append(item)
            self._change(lambda root: _added(self.text, _node(root, way), item), wanted)

    def remove(self, way: Way, item: str) -> None:
        """Take an item out of a list, where it is in it.

        Raises:
            NotChangeableError: as for `put`.
        """
        found = self.get(way)
        if isinstance(found, list) and item in found:
            self.put(way, [each for each in found if each != item])

    def _change(self, change: "Callable[[yaml.Node | None], str]", wanted: object) -> None:
        try:
            text = change(yaml.compose(self.text, Loader=yaml.SafeLoader))
            found = self._load(text)
        except (NotChangeableError, yaml.YAMLError, KeyError, IndexError, AttributeError) as error:
            raise NotChangeableError("its text cannot be changed without rewriting all of it") from error
        if found != wanted:
            raise NotChangeableError("its text cannot be changed without rewriting all of it")
        self.text = text

    @staticmethod
    def _load(text: str) -> dict[str, Any]:
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise NotChangeableError(f"it is no YAML: {' '.join(str(error).split())[:300]}") from error
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise NotChangeableError("its top is no mapping")
        try:
            return {name: _apart(value) for name, value in found.items()}
        except RecursionError as error:
            raise NotChangeableError("it is nested too deep") from error


def _apart(value: object) -> object:
    """The same, where an alias is a thing of its own: what is changed there must not seem to be wanted elsewhere."""
    if isinstance(value, dict):
        return {name: _apart(each) for name, each in value.items()}
    return [_apart(each) for each in value] if isinstance(value, list) else value


def _at(data: Any, way: Sequence[str]) -> Any:  # noqa: ANN401 - whatever is there
    for name in way:
        data = data[name]
    return data


def _node(root: yaml.Node | None, way: Sequence[str]) -> yaml.Node:
    for name in way:
        root = _entry(root, name)[1]
    if root is None:
        raise KeyError(way)
    return root


def _entry(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key, value
    raise KeyError(name)


def _put(text: str, root: yaml.Node | None, way: Way, value: object) -> str:
    if root is None:
        return f"{text.rstrip()}\n{_block(_nested(way, value), 0)}\n".lstrip("\n")
    node, known = root, 0
    key: yaml.Node | None = None
    while known < len(way):
        try:
            key, node = _entry(node, way[known])
        except KeyError:
            break
        known += 1
    if known == len(way):
        return _replaced(text, key, node, value)
    rest = _nested(way[known:], value)
    if isinstance(node, yaml.MappingNode) and (node.value or node.flow_style):
        return _inserted(text, node, rest)
    return _replaced(text, key, node, rest)


def _nested(way: Way, value: object) -> Any:  # noqa: ANN401 - as given
    for name in reversed(way):
        value = {name: value}
    return value


def _inserted(text: str, node: yaml.MappingNode, entry: dict[str, Any]) -> str:
    """Put one more entry at the end of a mapping."""
    if node.flow_style:
        return _before_the_bracket(text, node, _flow(entry)[1:-1])
    return _after_line(text, _end(node), _block(entry, node.value[0][0].start_mark.column))


def _added(text: str, node: yaml.Node, item: str) -> str:
    if not isinstance(node, yaml.SequenceNode):
        raise KeyError(item)
    if node.flow_style:
        return _before_the_bracket(text, node, _flow([item])[1:-1])
    return _after_line(text, _end(node), _block([item], node.start_mark.column))


def _replaced(text: str, key: yaml.Node | None, node: yaml.Node, value: object) -> str:
    """Put something else where a value is."""
    if key is None:
        raise KeyError(value)
    start = node.start_mark.index
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        return text[:start] + _block(value, node.start_mark.column).lstrip(" ") + text[_end(node) :]
    if isinstance(value, dict | list) and value and node.start_mark.index == node.end_mark.index:
        indent = key.start_mark.column + _STEP
        return _after_line(text, key.end_mark.index, _block(value, indent))
    return text[:start] + _flow(value) + text[node.end_mark.index :]


def _before_the_bracket(text: str, node: yaml.CollectionNode, piece: str) -> str:
    place = node.end_mark.index - 1
    head = text[:place].rstrip()
    comma = ", " if node.value and not head.endswith(",") else " " if head.endswith(",") else ""
    return head + comma + piece + text[place:]


def _after_line(text: str, place: int, lines: str) -> str:
    """Put lines below the one that a place is on."""
    if place and text[place - 1] == "\n":  # a text of several lines ends with its last one
        return f"{text[:place]}{lines}\n{text[place:]}"
    end = text.find("\n", place)
    if end < 0:
        return f"{text}\n{lines}\n"
    return f"{text[:end]}\n{lines}{text[end:]}"


def _end(node: yaml.Node) -> int:
    """Where the last thing in a node ends; that of a block includes the comments behind it otherwise."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _block(value: object, indent: int) -> str:
    dumped = yaml.safe_dump(value, sort_keys=False, default_flow_style=False, allow_unicode=True, width=_WIDE)
    lines = dumped.rstrip("\n").split("\n")
    return "\n".join(" " * indent + line if line else line for line in lines)


def _flow(value: object) -> str:
    dumped = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, allow_unicode=True, width=_WIDE)
    return dumped.removesuffix("\n").removesuffix("...").strip()
