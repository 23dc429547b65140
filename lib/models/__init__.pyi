from . import cyclegan, fitting, judges, simulation, texture, translation
