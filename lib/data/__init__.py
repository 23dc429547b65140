"""Images, their splits, the simulated embryos and the devices that photograph them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
