"""Every figure of the compendium, under one name: see ``__init__.pyi``.

A figure function returns the figure and the table it was drawn from. ``note`` says what the images
are ("synthetic phantom", "real images", "semi-synthetic") and stands in the title of every figure.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
