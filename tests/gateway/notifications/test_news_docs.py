"""What the manual shows works."""

import hashlib
import hmac
import re
import time
from pathlib import Path
from typing import Any

import pytest

from kugetsu.config import load_settings
from kugetsu.gateway.notifications.sending import signed
from kugetsu.protocols import DELIVERY_STATES

MANUAL = Path(__file__).parents[3] / "docs" / "notifications.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", MANUAL.read_text(), re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_its_settings_are_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kugetsu.toml"
    path.write_text(text)
    loaded = load_settings(environ={"HOME": str(tmp_path)}, repo=None, config_file=path, flags={})
    assert set(loaded.settings.notify) == {"hermes", "ops"}


def test_its_check_of_signatures_takes_ours_and_no_other() -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)  # noqa: S102 - it is ours
    body = b'{"id": "a"}'
    headers = signed(body, "secret", time.time())
    assert names["is_genuine"](b"secret", headers, body)
    assert not names["is_genuine"](b"another", headers, body)
    assert not names["is_genuine"](b"secret", headers, body + b" ")
    assert not names["is_genuine"](b"secret", signed(body, "secret", time.time() - 400), body)
    assert headers["X-Hub-Signature-256"] == f"sha256={hmac.new(b'secret', body, hashlib.sha256).hexdigest()}"
    assert signed(body, "", time.time()) == {}


def test_it_names_every_state_in_which_news_can_be_given_up() -> None:
    text = MANUAL.read_text()
    assert all(state in text for state in set(DELIVERY_STATES) - {"pending"})
