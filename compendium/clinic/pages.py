"""Single pages of HTML that need no network and no script, from the templates beside this."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

_THUMBNAIL = 160  # pixels
# Names of files, domains and labels come from others: all that is filled in is escaped.
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True,
)  # fmt: skip


def page(template: str, **content: Any) -> str:
    """The page ``TEMPLATE.html``, filled with ``content``: a title and what the template names."""
    return _TEMPLATES.get_template(f"{template}.html").render(content)


def thumbnail(levels: np.ndarray) -> str:
    """A small picture of an image, uint8 (H, W) or (H, W, 3), as the address of an ``img``."""
    picture = Image.fromarray(levels)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
