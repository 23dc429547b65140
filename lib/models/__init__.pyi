from . import cut, cyclegan, fitting, judges, simulation, texture, translation
