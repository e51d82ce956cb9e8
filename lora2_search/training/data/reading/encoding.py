"""Bytes to text: by a byte order mark, by the encoding that is named, else strictly UTF-8."""

from __future__ import annotations

import codecs

from .table import Unreadable, shown

# The marks of UTF-32 begin with those of UTF-16: they come first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_MARK = "\ufeff"


def decode(raw: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text and the encoding that it was read in.

    Args:
        raw: The file.
        encoding: The one that the user names, ``None`` to go by the file's mark.

    Raises:
        Unreadable: The bytes are of another encoding; says the line and the remedy.
    """
    marked = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    if chosen == "utf-8" and b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise Unreadable(
            f"line {line} holds a NUL character, which text never does: save the file as UTF-8, or "
            "name its encoding, for example --set data.encoding=utf-16-le"
        )
    try:
        text = raw.decode(chosen)
    except UnicodeError as error:
        raise Unreadable(_wrong(raw, chosen, encoding is not None, error)) from None
    return text.removeprefix(_MARK), chosen


def _wrong(raw: bytes, chosen: str, named: bool, error: UnicodeError) -> str:
    at = error.start if isinstance(error, UnicodeDecodeError) else 0
    line = raw.count(b"\n", 0, at) + 1
    if named:
        return (
            f"line {line} is not valid {chosen} (data.encoding): name the right encoding, or save "
            "the file as UTF-8"
        )
    begin = max(raw.rfind(b"\n", 0, at) + 1, at - 20)
    around = raw[begin : at + 20].partition(b"\n")[0]
    return (
        f"line {line} is not {chosen.upper()}: save the file as UTF-8, or name its encoding: "
        f"--set data.encoding=cp1252 would read {shown(around.decode('cp1252', 'replace'))} there"
    )
