"""Hypothesis strategies for answers of the service, intact and damaged.

An answer is a tree. Objects are tuples of (name, value), so that a name can occur twice; arrays are lists; all other
values are the bytes of their JSON, so that invalid ones are possible.
"""

import base64
import json
import struct

from hypothesis import strategies as st

ODD = [
    *(b"null", b"true", b"false", b'""', b'"0"', b'"1.0"', b"[]", b"{}", b"[[]]", b'{"a":1,"a":2}', b""),
    *(b"0", b"-0", b"1", b"2", b"-1", b"0.0", b"-0.0", b"1.0", b"1e0", b"0.5", b"01", b"+1", b".5", b"1.", b"0x1"),
    *(b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b'"NaN"', b"1e39", b"-1e39", b"3.4028235e38"),
    *(b"3.4028235677973366e38", b"1e-45", b"1e-46", b"-1e-400", b"1e308", b"1e309", b"1e400", b"1e99999999"),
    *(b"9007199254740993", b"18446744073709551615", b"18446744073709551616", b"1" + b"0" * 30, b"-1" + b"0" * 30),
    *(b"1" + b"0" * 400, b"1" + b"0" * 5000, b"0." + b"0" * 5000 + b"1", b"1e" + b"0" * 50 + b"1"),
    *(rb'"\ud800"', rb'"\ud83d\ude00"', rb'"\ude00\ud83d"', rb'"\u0000"', b'"\0"', b'"\xff"', b'"\xed\xa0\x80"'),
    *(b'"AACAPw=="', b'"AACAPw="', b'"AACAPw"', b'"AACAPx=="', b'"AAC APw=="', rb'"AACAPw\u003d="', b'"AACAfw=="'),
    *(b'"AADAfwAAgD8="', b'"' + b"A" * 4096 + b'"', b"[" * 40 + b"]" * 40, b"[" * 1500, b'{"a":' * 1500),
    *(b'{"message":"Try again in 9 seconds.","code":429}', b'{"error":{"code":"400"}}', b'"rate limit"'),
]
"""Values that have broken JSON parsers, and some that are not valid JSON."""

NAMES = [b"data", b"index", b"embedding", b"usage", b"error", b"detail", b"message", b"code", b"param", b"type", b"x"]
WRAPPINGS = [
    *(lambda body: b"\xef\xbb\xbf" + body, lambda body: body + b"\0", lambda body: b" \t\r\n" + body + b"\n"),
    *(lambda body: body + body, lambda body: b"[" + body + b"]", lambda body: body.decode("latin-1").encode("utf-16")),
    lambda body: b'{"error":' + body + b"}",
]
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def write(tree):
    """Write a tree as JSON."""
    if isinstance(tree, tuple):
        return b"{" + b",".join(b'"' + name + b'":' + write(value) for name, value in tree) + b"}"
    return b"[" + b",".join(map(write, tree)) + b"]" if isinstance(tree, list) else tree


def _base64(vector):
    return b'"' + base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)) + b'"'


def _numbers(vector):
    return [json.dumps(number).encode() for number in vector]


def _not_finite(vector):
    return _base64([*vector[1:], float("nan")])


def _foreign(vector):
    written = _base64(vector)
    return written[:5] + b"-" + written[5:]


@st.composite
def whole_answers(draw):
    """Draw an answer, valid except for a rare vector: the tree, the number of texts, and the dimensions."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rows = []
    for index in draw(st.permutations(range(count))):
        vector = draw(st.lists(FLOAT32, min_size=width, max_size=width))
        form = draw(st.sampled_from([_base64, _numbers] * 8 + [_not_finite, _foreign]))
        rows.append(((b"object", b'"embedding"'), (b"index", b"%d" % index), (b"embedding", form(vector))))
    usage = ((b"prompt_tokens", b"3"), (b"total_tokens", b"4"))
    return ((b"object", b'"list"'), (b"data", rows), (b"error", b"null"), (b"usage", usage)), count, width


def _change(draw, tree):
    """Change a node at a random position in a tree."""
    if not isinstance(tree, (list, tuple)) or not tree or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(ODD))
    children = list(tree)
    largest = max(range(len(tree)), key=lambda i: len(write(tree[i][1] if isinstance(tree, tuple) else tree[i])))
    place = draw(st.sampled_from([*range(len(tree)), *[largest] * len(tree)]))  # most often where the vectors are
    what = draw(st.sampled_from(["go down"] * 6 + ["drop", "double", "swap", "rename"]))
    if what == "go down" or (what == "rename" and isinstance(tree, list)):
        child = children[place]
        children[place] = (child[0], _change(draw, child[1])) if isinstance(tree, tuple) else _change(draw, child)
    elif what == "drop":
        del children[place]
    elif what == "double":
        children.insert(draw(st.integers(0, len(children))), children[place])
    elif what == "swap":
        other = draw(st.integers(0, len(children) - 1))
        children[place], children[other] = children[other], children[place]
    else:
        children[place] = (draw(st.sampled_from(NAMES)), children[place][1])
    return type(tree)(children)


def _break(draw, body):
    """Change some bytes of a body."""
    start = draw(st.integers(0, len(body)))
    stop = min(len(body), start + draw(st.sampled_from([0, 1, 1, 2, 8, 10_000])))
    token = st.sampled_from(
        [b"", b'"', b",", b"]", b"}", b"\\", b"\xff", b"\0", b" ", b"\n", b"!", b"-", b"=", b"1", b"e9", *ODD]
    )
    return body[:start] + draw(token | st.binary(max_size=2) | st.just(2 * body[start:stop])) + body[stop:]


@st.composite
def answers(draw):
    """Draw an answer, intact or damaged: its bytes, the number of texts, and the requested dimensions."""
    tree, count, width = draw(whole_answers())
    for _ in range(draw(st.integers(0, 2))):
        tree = _change(draw, tree)
    body = write(tree)
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        body = _break(draw, body)
    if draw(st.integers(0, 15)) == 0:
        body = draw(st.sampled_from(WRAPPINGS))(body)
    count = max(1, count + draw(st.sampled_from([0] * 8 + [-1, 1])))
    return body, count, draw(st.sampled_from([None, width, width, 2]))
