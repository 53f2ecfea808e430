"""Checks that run inside the engine's interpreter; `python -m tests.engine.inside <module>` prints one JSON line."""
