"""What the answer to a webhook means: delivered, later, or never."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import msgspec

from kugetsu.protocols import Delivery, DeliveryState

MOST_REFUSALS: Final = 3
"""Answers that say the news themselves are wrong, before they are given up."""

LONGEST_WAIT: Final = 24 * 3600.0
"""Seconds; who asks to come back later than this is asked again after it."""

_DUPLICATE: Final = "answered that it has these news already"
_SETTING_UP: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_EARLY,
    }
)
"""Answers that a person may mend: a secret, a route, a gateway that is being set up. Tried again until the news expire."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt to deliver news ended.

    Attributes:
        state: what the delivery is now; `pending` to try again.
        said: what was wrong or strange, on one line, without secrets; empty for nothing.
        answer: what came back, as above, also when all is well; empty for no answer.
        retry_after: seconds that the other side asks to wait, 0 for none.
        down: whether it seems that nothing gets through to the target at present.
        unready: whether it was not even tried, because something is not set up on our side.
    """

    state: DeliveryState
    said: str = ""
    answer: str = ""
    retry_after: float = 0.0
    down: bool = False
    unready: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What a webhook's server answered.

    Attributes:
        retry_after: its header of that name, empty for none.
        body: the beginning of it.
        shown: the same on one line, for people.
    """

    status: int
    retry_after: str = ""
    body: bytes = b""
    shown: str = ""


class _Body(msgspec.Struct, frozen=True):
    status: str = ""


def judged(answer: Answer, delivery: Delivery, now: float) -> Attempt:
    """Say how an attempt ended that was answered; `now` is in seconds since the epoch.

    2xx is delivered, 429 and 5xx are for later. Redirects are not followed. Hermes answers 200 with `duplicate` to a request
    id that it has seen, whatever became of that: as the first answer of all it belongs to an attempt that a crash cut off, and
    counts; after a failure it does not, until it is given to a new request id too.
    """
    said = f"answered {answer.status}{f': {answer.shown}' if answer.shown else ''}"
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return _accepted(answer, delivery, said)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Attempt(state="pending", said=said, retry_after=wait_of(answer.retry_after, now), down=True)
    if answer.status < HTTPStatus.OK or answer.status in _SETTING_UP:
        return Attempt(state="pending", said=said)
    if answer.status < HTTPStatus.BAD_REQUEST:
        return Attempt(state="pending", said=f"{said} (redirects are not followed: correct its address)")
    return Attempt(state="refused" if delivery.attempts + 1 >= MOST_REFUSALS else "pending", said=said)


def wait_of(text: str, now: float) -> float:
    """Seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3); 0 when it says nothing of use."""
    try:
        seconds = float(text) if text.strip().replace(".", "", 1).isdigit() else _until(text) - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), LONGEST_WAIT)


def _accepted(answer: Answer, delivery: Delivery, said: str) -> Attempt:
    try:
        status = msgspec.json.decode(answer.body, type=_Body).status
    except (msgspec.MsgspecError, UnicodeError):
        status = ""
    if status == "duplicate" and delivery.attempts and not delivery.error.endswith(_DUPLICATE):
        return Attempt(state="pending", said=_DUPLICATE)
    remark = f"answered: {status}" if status in {"ignored", "duplicate"} else ""
    return Attempt(state="delivered", said=remark, answer=said)


def _until(text: str) -> float:
    moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
