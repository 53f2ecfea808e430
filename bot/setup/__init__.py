"""From a fresh clone to something that runs: interpreters, environments, a browser for the tests.

Runs before any environment exists, on any Python from 3.9 on, with the standard library alone.
"""
