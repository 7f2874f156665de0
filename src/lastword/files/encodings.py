"""The encoding of a text, detected on its first part.

UTF-8, UTF-16 and UTF-32 are known by their form, others by charset-normalizer.
"""

from __future__ import annotations

import codecs

from lastword.errors import RequestError

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_ENCODINGS = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp1253", "cp1254",
    "cp1255", "cp1256", "mac_roman",
)  # fmt: skip
_ZEROS, _LEAST_ZEROS = 0.05, 4  # least share and number of ASCII characters in a text in UTF-16
_ENCODING_BYTES = 1 << 16  # of lines that are not ASCII


def check_encoding(encoding: str | None) -> None:
    """Refuse what Python cannot decode.

    Raises:
        RequestError: unknown encoding.
    """
    try:
        if encoding is not None:
            b"a".decode(encoding, "ignore")  # idna has no "ignore", and rot13 decodes no bytes
    except (LookupError, UnicodeError):
        raise RequestError(
            f"encoding={encoding!r} is unknown: give utf-8, utf-16, latin-1, cp1252, shift_jis or another of Python's"
        ) from None


def detect_encoding(part: bytes, whole: bool) -> str:
    """The encoding of a text.

    Args:
        part: its first bytes.
        whole: whether these are all.

    Returns:
        Python's name of it; "utf-8" or "utf-8-sig" where nothing speaks against it.
    """
    if bom := next((name for bom, name in _BOMS.items() if part.startswith(bom)), None):
        return bom
    if found := _utf_16(part[:4096]):
        return found
    try:
        codecs.getincrementaldecoder("utf-8")().decode(part, final=whole)
    except UnicodeDecodeError:
        text = part.decode("utf-8", "replace")
        bad = text.count("\ufffd")
        if sum(character > "\x7f" for character in text) > 2 * bad:
            return "utf-8"  # with a few damaged bytes, which the reader names
        return likely_encoding(part)
    return "utf-8"


def _utf_16(part: bytes) -> str:
    """Which UTF-16 a text without a mark is in; "" for none, which a stray zero byte does not change.

    The high bytes of ASCII characters are zero: of more than half of all characters, or else of several and of ends of
    lines.
    """
    high = {"utf-16-be": part[::2], "utf-16-le": part[1::2]}
    zeros = {name: each.count(0) for name, each in high.items()}
    name = max(zeros, key=lambda each: zeros[each])
    most = zeros[name]
    if most < 2 or min(zeros.values()):
        return ""
    units = {part[i : i + 2] for i in range(0, len(part) - 1, 2)}
    ends = {end.encode(name) for end in "\r\n"}
    share = most / len(high[name])
    several = most >= _LEAST_ZEROS and share > _ZEROS and not units.isdisjoint(ends)
    return name if share > 0.5 or several else ""


def likely_encoding(part: bytes) -> str:
    """The likely encoding of bytes that are not UTF-8."""
    from charset_normalizer import from_bytes

    lines = dict.fromkeys(line for line in part.splitlines() if not line.isascii())
    content = b"\n".join(lines)[:_ENCODING_BYTES]
    matches = list(from_bytes(content, cp_isolation=list(_ENCODINGS), threshold=0.3))
    equal = [
        match
        for match in matches
        if (match.chaos, match.coherence) == (matches[0].chaos, matches[0].coherence)
    ]
    names = [name for match in equal for name in match.could_be_from_charset]
    if matches and "cp1252" not in names:  # the most frequent one where the texts are too short to tell
        return matches[0].encoding
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"
