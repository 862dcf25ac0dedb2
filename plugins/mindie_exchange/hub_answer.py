# SPDX-License-Identifier: Apache-2.0
"""What an HTTP answer to a request for a range says, and whether it may be believed. No input or output."""

from __future__ import annotations

import calendar
import re
from email.message import Message
from email.utils import parsedate
from typing import NamedTuple

from mindie_exchange.origin_error import BrokenError, OriginError

CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
RATE_LIMIT_RESETS = re.compile(r"(?:^|[;,\s])t=(\d{1,9})\b")
LONGEST_PAUSE_S = 300.0
# A server that gives no ranges sends the file from its beginning. So much is read and thrown away to come to the place
# that is wanted: enough for the files that hubs do not keep in their large storage (the index, the tokenizer).
MOST_SKIPPED = 64 * 1024 * 1024


class Body(NamedTuple):
    """How to read a body: throw `skip` bytes away, then `length` are ours (None: as many as are wanted)."""

    skip: int
    length: int | None


def body_of(status: int, headers: Message, first: int, last: int, size: int) -> Body:
    """Says how to read the answer (200 or 206) to a request for the bytes first to last of a file of `size` bytes.

    Raises BrokenError for an answer that contradicts itself or the request, OriginError (final) when the file is
    another one than that.
    """
    encoding = headers.get("Content-Encoding") or "identity"
    if encoding.lower() != "identity":
        raise OriginError("the server sends it encoded (%s), unasked" % encoding[:40], final=True)
    length = _number(headers.get("Content-Length"))
    if status == 206 or headers.get("Content-Range"):
        return Body(0, _range_length(headers.get("Content-Range") or "", length, first, last, size))
    if length is not None and length != size:
        # Some servers keep to the range and say 200 all the same.
        if length == last - first + 1:
            return Body(0, length)
        raise OriginError("the server sends %d bytes, and the file has %d: it changed" % (length, size), final=True)
    if first > MOST_SKIPPED:
        raise OriginError("the server gives no ranges (it answered 200), so the file cannot be shared out", final=True)
    return Body(first, None if length is None else length - first)


def _range_length(text: str, length: int | None, first: int, last: int, size: int) -> int:
    found = CONTENT_RANGE.fullmatch(text.strip())
    if not found:
        raise BrokenError("it answered 206 with the Content-Range %r" % text[:80])
    begin, end = int(found.group(1)), int(found.group(2))
    if found.group(3) != "*" and int(found.group(3)) != size:
        raise OriginError("the server's file has %s bytes, not %d: it changed" % (found.group(3), size), final=True)
    if begin != first or not first <= end <= last:
        raise BrokenError("it sent the bytes %d-%d where %d-%d were asked" % (begin, end, first, last))
    if length is not None and length != end - begin + 1:
        raise BrokenError("it announced %d bytes for the range %d-%d" % (length, begin, end))
    return end - begin + 1


def strong_tag(text: str | None) -> str | None:
    """Returns an ETag that stands for these very bytes; None for a weak one, or none at all."""
    tag = (text or "").strip()
    return tag if tag and not tag.startswith(("W/", "w/")) else None


def pause_of(headers: Message, now: float) -> float | None:
    """Returns for how many seconds the server asks to be left alone: Retry-After (seconds or a date) or RateLimit.

    `now` is the time as time.time() gives it. None when it names no time that can be read.
    """
    text = (headers.get("Retry-After") or "").strip()
    if text.isdigit() and len(text) < 10:
        return min(float(text), LONGEST_PAUSE_S)
    date = parsedate(text) if text else None
    if date is not None:
        try:
            return min(max(0.0, calendar.timegm(date) - now), LONGEST_PAUSE_S)
        except (ValueError, OverflowError):
            return None
    resets = RATE_LIMIT_RESETS.search(headers.get("RateLimit") or "")
    return min(float(resets.group(1)), LONGEST_PAUSE_S) if resets else None


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdigit() and len(text) <= 18 else None
