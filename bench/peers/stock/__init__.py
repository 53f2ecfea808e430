"""Rasa as it comes: what it is configured with, and its action server."""
