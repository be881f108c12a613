import msgspec

from kugetsu.messages import encode_json


def test_text_that_is_no_proper_unicode_is_mended_wherever_it_stands() -> None:
    value = {"a\ud800": ["b\ud800", {"c": ("\ud83d\ude00",)}], "ready": msgspec.Raw(b'{"x":[1,"y"]}')}
    assert msgspec.json.decode(encode_json(value)) == {
        "a\ufffd": ["b\ufffd", {"c": ["\U0001f600"]}],
        "ready": {"x": [1, "y"]},
    }


def test_what_is_json_already_is_taken_as_it_is() -> None:
    assert encode_json({"ready": msgspec.Raw(b'{"x" : 1}')}) == b'{"ready":{"x" : 1}}'
