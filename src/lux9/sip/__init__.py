"""The life of an isolated process: manifest, process, supervision, and the files that show it."""
