"""A token count that needs no tokenizer.

Every match of the pattern is one token. English comes to about four characters a token and CJK to about one,
as with cl100k_base. A match consumes at least one byte, so no text has more tokens than UTF-8 bytes.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"[A-Za-z]{1,7}"  # most English words are one token, long ones two or three
    r"|[0-9]{1,3}"  # cl100k_base groups digits by three
    r"|[\u00c0-\u058f]{1,2}"  # accented Latin, Greek, Cyrillic, Armenian
    r"|[^\s\x00-\x7f]"  # CJK, emoji and the rest
    r"|[!-/:-@\[-`{-~]{1,2}"  # punctuation often pairs up
    r"|\s{2,}|[\n\t]"  # a single space belongs to the word after it
)


def count_tokens(text: str) -> int:
    """Return the tokens of `text`, which is not empty: at least 1, never more than its UTF-8 bytes."""
    return max(1, len(_TOKEN.findall(text)))
