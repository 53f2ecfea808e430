"""Runs every `check_*` of one module in order and reports each."""

import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback

os.environ["RASA_TELEMETRY_ENABLED"] = "false"

from bot.engine import notf

notf.install(serving=sys.argv[1] != "learning")

module = importlib.import_module("tests.engine.inside." + sys.argv[1])
results = {}
for name, check in list(vars(module).items()):
    if name.startswith("check_"):
        try:
            outcome = check()
            if inspect.iscoroutine(outcome):
                asyncio.get_event_loop().run_until_complete(outcome)
            results[name] = None
        except BaseException:
            results[name] = traceback.format_exc()
sys.stdout.write("RESULTS " + json.dumps(results) + "\n")
