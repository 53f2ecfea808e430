"""The demo: a small believable world, a simulated WeChat, a clock that can be moved. Production loads none of it."""

from bot.demo.world import RESET, TEMPLATES, ensure, people, reset

__all__ = ["RESET", "TEMPLATES", "ensure", "people", "reset"]
