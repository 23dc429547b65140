"""What a file that is not read may be, to people who know it by that name."""

from __future__ import annotations

_STARTS = {
    b"GIF8": "GIF", b"<svg": "SVG", b"%PDF": "PDF", b"\0\0\0\x0cJXL": "JPEG XL",
    b"\xff\x0a": "JPEG XL", b"II\xbc": "JPEG XR", b"\xff\x4f\xff\x51": "a bare JPEG 2000 stream",
    b"ZISRAWFILE": "Zeiss CZI", b"\x89HDF": "HDF5", b"PK": "zip",
}  # fmt: skip
_JPEG = b"\xff\xd8\xff"
# Frames of JPEG by their marker (ITU-T T.81, table B.1; T.87); what else stands there is none.
_FRAMES = {0xC3: "lossless JPEG", 0xF7: "JPEG-LS", 0xC9: "arithmetic JPEG", 0xCA: "arithmetic JPEG"}
_FRAMES |= dict.fromkeys((0xC0, 0xC1, 0xC2), "JPEG")


def looks_like(content: bytes) -> str:
    """What the first bytes say: `` but GIF``, or nothing."""
    if content[4:8] == b"ftyp":
        brand = content[8:12].decode("ascii", "replace")
        return " but one of a phone (HEIC or AVIF)" if brand[:3] in ("hei", "mif", "avi") else ""
    if content.startswith(_JPEG):
        kind = _jpeg(content)
        return f" but {kind}" if kind else ""
    return next(
        (f" but {name}" for start, name in _STARTS.items() if content.startswith(start)), ""
    )


def _jpeg(content: bytes) -> str:
    """Kind and depth of a JPEG of an unusual kind."""
    place = 2
    while place + 5 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker in _FRAMES:
            kind, bits = _FRAMES[marker], content[place + 4]
            return "" if (kind, bits) == ("JPEG", 8) else f"{kind} of {bits} bits"
        place += 2 + length
    return ""
