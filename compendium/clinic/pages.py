"""Single pages of HTML that need no network and no script."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lib.data.images import decode

_THUMBNAIL = 160  # pixels
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 62rem; color: #222;
  padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px; }
td, th { padding: 0.15rem 0.6rem; text-align: left; border-bottom: 1px solid #ddd; }
figure { display: inline-block; margin: 0 1rem 1.2rem 0; vertical-align: top; width: 21rem; }
figure.one { width: 10rem; }
figure img { width: 10rem; height: 10rem; object-fit: contain; background: #f2f2f2; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
.stop { color: #a3310a; font-weight: 600; }
"""


def page(title: str, facts: Sequence[str], body: str) -> str:
    """A page with a heading, a list of facts and ``body``, the last two as HTML."""
    name = html.escape(title)
    listed = "".join(f"<li>{fact}</li>" for fact in facts)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{name}</title><style>{_STYLE}</style></head><body><h1>{name}</h1>"
        f"<ul>{listed}</ul>{body}</body></html>\n"
    )


def thumbnail(path: Path) -> str:
    """A small picture of an image file, as the address of an ``img``."""
    picture = Image.fromarray(decode(path))
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
