"""Secrets that are known by their shape: keys of providers, tokens, private keys, passwords beside their name.

Every search takes time in proportion to the text, whatever the text is: repetitions are possessive or bounded, what has
begun to match cannot fail late, and a search begins only where a marker says that it may find something.
"""

import re
from collections.abc import Callable
from typing import Final

MASK: Final = "***"
"""What stands where a secret stood."""

_Replace = str | Callable[[re.Match[str]], str]


def _compile(shapes: dict[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((marker, re.compile(pattern)) for marker, pattern in shapes.items())


_TOKENS: Final = _compile(
    {
        # OpenAI, Anthropic (sk-ant-), OpenRouter (sk-or-), DeepSeek; not the end of words like `task-`.
        "sk-": r"sk-(?<![A-Za-z]sk-)[A-Za-z0-9_-]{16,}+",
        "gh": r"gh[pousr]_[A-Za-z0-9]{20,}+",  # GitHub
        "github_pat_": r"github_pat_[A-Za-z0-9_]{20,}+",
        "gl": r"gl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|soat|oas)-[A-Za-z0-9_.-]{16,}+",  # GitLab
        "xox": r"xox[a-z]-[A-Za-z0-9-]{8,}+",  # Slack
        "xapp-": r"xapp-[A-Za-z0-9-]{8,}+",
        "AKIA": r"AKIA[A-Z0-9]{16}+",  # Amazon
        "ASIA": r"ASIA[A-Z0-9]{16}+",
        "AIza": r"AIza[A-Za-z0-9_-]{30,}+",  # Google
        "gsk_": r"gsk_[A-Za-z0-9]{20,}+",  # Groq
        "hf_": r"hf_[A-Za-z0-9]{20,}+",  # Hugging Face
        "npm_": r"npm_[A-Za-z0-9]{20,}+",
        "pypi-": r"pypi-[A-Za-z0-9_-]{20,}+",
        "k_live_": r"[sr]k_live_[A-Za-z0-9]{16,}+",  # Stripe
        "k_test_": r"[sr]k_test_[A-Za-z0-9]{16,}+",
        "xai-": r"xai-[A-Za-z0-9_-]{20,}+",  # xAI
        "SG.": r"SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+",  # SendGrid
        "_v1_": r"do[opr]_v1_[a-f0-9]{32,}+",  # DigitalOcean
        "ya29.": r"ya29\.[A-Za-z0-9_-]{20,}+",  # Google OAuth
        "hooks.slack": r"hooks\.slack\.com\\?/[A-Za-z0-9_/\\-]{8,}+",  # addresses that anybody may post to
        # JSON Web Tokens, and any other JSON object in base64.
        "eyJ": r"eyJ[A-Za-z0-9_-]{13,}+(?:\.[A-Za-z0-9_-]*+){0,4}+",
    }
)
"""By a piece of text that each of them holds."""

_KEY_NAME: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_BLOCK: Final = re.compile(rf"-----BEGIN {_KEY_NAME}.*?(?:-----END {_KEY_NAME}|\Z)", re.DOTALL)
_KEY_END: Final = re.compile(rf"-----END {_KEY_NAME}")
_KEY_BODY: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \t\n"

_USER_INFO: Final = re.compile(r"://(?:[^\s/?#'\"@]{0,1000}+@){1,8}+")

# What follows the word must look like a credential, not like English: `a basic understanding`.
_SCHEME: Final = re.compile(
    r"(?i:(bearer|basic)\s{1,4}+)(?=[A-Za-z0-9+/=_.~-]{16}|[A-Za-z0-9+/=_.~-][a-z]{0,16}[A-Z0-9+/=_.~-])"
    r"[A-Za-z0-9+/=_.~-]{8,}+"
)
_QUOTE: Final = r"\\{0,7}+[\"']"
"""Also inside JSON, and inside JSON in that."""

_HEADER: Final = re.compile(
    rf"(?i:((?:proxy-)?authorization(?:{_QUOTE})?+[ \t]{{0,4}}+[:=][ \t]{{0,4}}+(?:{_QUOTE})?+))"
    r"(?:[A-Za-z-]{2,20}+[ \t]{1,4}+)?+[^\s,\"'\\]++"
)
_COOKIES: Final = re.compile(rf"(?i:(cookies?(?:{_QUOTE})?+[ \t]{{0,4}}+[:=][ \t]{{0,4}}+))(?!{_QUOTE})[^\s][^\n]*+")
_NAME: Final = (
    r"(?:(?:pass(?:word|wd|phrase)|pwd|secret|credentials?)(?:[_-]\w{1,20}+)?+"
    r"|(?:api|access|private|account|signing|client|encryption|master)[_-]?key(?:[_-]data)?+"
    r"|token(?![s_-])|cookies?|signature|(?<=[_-])(?:pass|pw)|(?<=[\"'])pass(?=\\{0,7}[\"'])|(?<![a-z0-9])_auth)"
)
_BETWEEN: Final = rf"(?:{_QUOTE})?+\]?+[ \t]{{0,4}}+(?:[:!]?={{1,3}}+>?+|:|%3[ad])[ \t]{{0,4}}+"
_PLAIN: Final = r"[^\s,;&\"'})\]]++"
# What seems to be the value may be a type: `password: str | None = "X"`.
_TYPED: Final = r"\]{0,2}+(?:[ \t]{0,2}+\|[ \t]{0,2}+[\w.]{1,20}+){0,3}+[ \t]{0,4}+=[ \t]{0,4}+"


def _quoted(group: str, otherwise: str) -> str:
    """A pattern of what stands in quotes, up to its end or that of the line; of something else where no quote begins."""
    return rf"(?P<{group}>{_QUOTE})?+(?({group})(?:(?!(?P={group}))(?:\\.|[^\n]))*+|{otherwise})"


_VALUE: Final = _quoted("quote", rf"{_PLAIN}(?:(?P<typed>{_TYPED}){_quoted('second', _PLAIN)})?+")
_PAIR: Final = re.compile(rf"(?P<name>(?i:{_NAME}{_BETWEEN})){_VALUE}")
_PAIR_MARKERS: Final = (
    "pass",
    "pwd",
    "_pw",
    "-pw",
    "secret",
    "credential",
    "key",
    "token",
    "cookie",
    "signature",
    "_auth",
)
_ELEMENT: Final = re.compile(r"(<([A-Za-z][\w:.-]{0,60}+)(?:\s[^<>]{0,300}+)?+>(?:<!\[CDATA\[)?+)\s*+(?=[^\s<])[^<]++")
_ELEMENT_NAME: Final = re.compile(rf"(?i:{_NAME}$)")
_NETRC: Final = re.compile(r"((?:login|machine)\s{1,8}+\S{1,200}+\s{1,8}+pass(?:word|wd)\s{1,8}+)\S++")
_CURL_USER: Final = re.compile(
    r"((?<![\w-])(?:-[A-Za-z]{0,6}[uU]|--(?:proxy-)?user)[\s=,\"'\\]{0,8}+[^\s:\"'\\]{0,100}+:)[^\s\"'\\]++"
)
_QUERY: Final = re.compile(r"([?&](?:key|sig|code|auth)=)[^\s&'\"]++")
_FLAG: Final = re.compile(r"(--([A-Za-z][A-Za-z_-]{0,40}+)\s{1,4}+)[^\s-]\S*+")
_FLAG_NAME: Final = re.compile(rf"(?i:(?:^|[_-]){_NAME}$)")


def without_shapes(text: str) -> str:
    """The text with `***` for everything that looks like a secret."""
    for marker, pattern in _TOKENS:
        if marker in text:
            text = pattern.sub(MASK, text)
    if "PRIVATE KEY" in text:
        text = _without_cut_keys(_KEY_BLOCK.sub(MASK, text))
    if "://" in text:
        text = _USER_INFO.sub(_keep_ssh_user, text)
    if "--" in text:
        text = _FLAG.sub(_secret_flag, text)
    if "curl" in text:
        text = _CURL_USER.sub(rf"\1{MASK}", text)
    if "<" in text:
        text = _ELEMENT.sub(_secret_element, text)
    return _without_pairs(text)


def _without_pairs(text: str) -> str:
    """Without values that stand beside the name of a secret."""
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        text = _SCHEME.sub(rf"\1 {MASK}", text)
    if "authorization" in lower:
        text = _HEADER.sub(rf"\1{MASK}", text)
    if "cookie" in lower:
        text = _COOKIES.sub(rf"\1{MASK}", text)
    if "passw" in lower:
        text = _NETRC.sub(rf"\1{MASK}", text)
    for marker in _PAIR_MARKERS:
        if marker in lower:
            text = _PAIR.sub(_masked_pair, text)
            break
    if "=" in text:
        text = _QUERY.sub(rf"\1{MASK}", text)
    return text


def _masked_pair(found: re.Match[str]) -> str:
    shown = f"{found['name']}{found['quote'] or ''}{MASK}"
    return f"{shown}{found['typed']}{found['second'] or ''}{MASK}" if found["typed"] else shown


def _keep_ssh_user(found: re.Match[str]) -> str:
    """The user of an ssh address is no secret, and the address means nothing without it."""
    whole = found[0]
    scheme = found.string[max(0, found.start() - 3) : found.start()]
    return whole if scheme.lower() == "ssh" and ":" not in whole[3:] else f"://{MASK}@"


def _secret_flag(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}" if _FLAG_NAME.search(found[2]) else found[0]


def _secret_element(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}" if _ELEMENT_NAME.search(found[2]) else found[0]


def _without_cut_keys(text: str) -> str:
    """Without what stands before the end of a private key whose beginning was cut off."""
    pieces, start = [], 0
    for end in _KEY_END.finditer(text):
        pieces += [text[start : end.start()].rstrip(_KEY_BODY), MASK]
        start = end.end()
    return "".join(pieces) + text[start:] if pieces else text
