from . import appearance, audit, splits
