"""Builds `lux9_short`. Needs a C compiler and Python's headers (python3-dev on Debian)."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("lux9_short", ["lux9_short.c"])], py_modules=[])
