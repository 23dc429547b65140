"""CycleGANs with an adaptive texture loss against domain shift in medical images.

The names a notebook uses, each loaded when it is asked for: see ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
