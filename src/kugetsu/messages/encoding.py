"""JSON of whatever the house keeps or shows, also when its text is no proper Unicode."""

from typing import Final

import msgspec

_encoder: Final = msgspec.json.Encoder()


def encode_json(value: object) -> bytes:
    """Serialise to one line of JSON. Never fails for what text holds: see `well_formed`."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_mended(msgspec.to_builtins(value, enc_hook=_decoded)))


def well_formed(text: str) -> str:
    """The text without lone surrogates, which stray bytes in file names and arguments become: U+FFFD in their place."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(value: object) -> object:
    """What is JSON already, as the values it stands for."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be written as JSON")


def _mended(value: object) -> object:
    match value:
        case str():
            return well_formed(value)
        case dict():
            return {_mended(name): _mended(inside) for name, inside in value.items()}
        case list() | tuple():
            return [_mended(inside) for inside in value]
        case _:
            return value
