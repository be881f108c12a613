"""Text without secrets: those that are known, by their value and its usual encodings, and others by their shape."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from kugetsu.config import PRESETS, Settings
from kugetsu.logs.shapes import MASK, without_shapes
from kugetsu.logs.text import joined, plain

LEAST_LENGTH: Final = 6
"""Shorter values are placeholders for servers that want any key; to blank them would ruin every line."""

_LONGEST_TAIL: Final = 512
"""Characters at the cut end of a text that are not shown: a secret that was cut in two may look like none."""

_PASSES: Final = 4
"""How often a text is searched again because what was blanked may have brought the parts of a secret together."""

_SECRET_HEADER: Final = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
_SECRET_VARIABLE: Final = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PAT|CREDENTIALS?)$")
_HEX: Final = re.compile(r"%[0-9A-F]{2}")


class Redactor:
    """Blanks secrets. Never raises, and takes time in proportion to the text, whatever it is. May be used by many threads.

    Args:
        secrets: known values; those shorter than `LEAST_LENGTH` are left out.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= LEAST_LENGTH for form in _spellings(secret)}
        # Longest first, so that no piece of one is left when a shorter one is part of it.
        self._forms = sorted(forms, key=len, reverse=True)
        self._tail = max([_LONGEST_TAIL, *map(len, self._forms)])

    def redact(self, text: str) -> str:
        """The text with `***` for every secret."""
        return self.without_values(without_shapes(self.without_values(text)))

    def without_values(self, text: str) -> str:
        """The text with `***` for known secrets only."""
        for _ in range(_PASSES):
            if not self.finds(text):
                return text
            for form in self._forms:
                text = text.replace(form, MASK)
        return MASK

    def finds(self, text: str) -> bool:
        """Whether a known secret stands in the text."""
        for form in self._forms:  # noqa: SIM110 - a generator would cost several times as much
            if form in text:
                return True
        return False

    def line(self, text: str, longest: int) -> str:
        """The beginning of a text on one line, without secrets and without anything that a terminal would obey.

        Args:
            text: anything.
            longest: characters of the line.
        """
        window, whole = self._window(text, longest)
        return self._cut(self.redact(joined(plain(window))), longest, whole=whole)

    def block(self, text: str, longest: int) -> str:
        """The same with its lines."""
        window, whole = self._window(text, longest)
        return self._cut(self.redact(plain(window)), longest, whole=whole)

    def _window(self, text: str, longest: int) -> tuple[str, bool]:
        """What is looked at of a text, and whether that is all of it."""
        most = longest + self._tail
        return text[:most], len(text) <= most

    def _cut(self, text: str, longest: int, *, whole: bool) -> str:
        """A text that is not whole may end within a secret: its tail is not shown."""
        shown = text if whole else text[: max(0, len(text) - self._tail)]
        if whole and len(shown) <= longest:
            return shown
        return f"{shown[: longest - 1].rstrip()}…"


def known_secrets(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Everything that is known to be secret: keys, headers that hold one, what webhooks are signed with, variables named so.

    A key that is the name of a provider is none: servers on one's own machine take any word.
    """
    providers = {**PRESETS, **settings.providers}
    found = [environ[name] for name in environ if _SECRET_VARIABLE.search(name)]
    for provider in providers.values():
        found += [provider.api_key, environ.get(provider.api_key_env, "")]
        for name, value in provider.headers.items():
            if _SECRET_HEADER.search(name):
                found += [value, *value.split()]
    signing = [(source.secret, source.secret_env) for source in settings.webhooks.values()]
    signing += [(target.secret, target.secret_env) for target in settings.notify.values()]
    for secret, variable in signing:
        found += [secret, environ.get(variable, "")]
    names = {name.casefold() for name in providers} | {"lm-studio", "no-key", "not-needed"}
    stripped = (secret.strip() for secret in found)
    return list(dict.fromkeys(secret for secret in stripped if secret and secret.casefold() not in names))


def _spellings(secret: str) -> Iterator[str]:
    """The secret as it may be met: plain, inside JSON and JSON in it, inside a URL, inside what is written as base64."""
    yield secret
    yield repr(secret)[1:-1]
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    for quoted in (quote(secret, safe="", errors="replace"), quote(secret, errors="replace")):
        yield quoted
        yield _HEX.sub(lambda found: found[0].lower(), quoted)
    yield quote_plus(secret, errors="replace")
    data = secret.encode("utf-8", "replace")
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + data).decode()
        # The characters at both ends hold bits of what stands beside the secret as well.
        core = encoded[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
        yield core
        yield core.replace("+", "-").replace("/", "_")
