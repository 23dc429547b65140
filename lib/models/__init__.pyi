from . import cyclegan, fitting, judges, texture, translation
