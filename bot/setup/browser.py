"""A Chromium for the browser tests: the one that is there, else Playwright's, else the system's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.setup.environments import ROOT
from bot.setup.saying import doing, say, say_loudly

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_BELOW_PLAYWRIGHT = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/chrome-*/*headless?shell",
)


def find(environment: Mapping[str, str] | None = None) -> Path | None:
    """A Chromium that can be started, or nothing. `BROWSER_PATH` names one outright."""
    environment = os.environ if environment is None else environment
    if named := environment.get("BROWSER_PATH"):
        return Path(named) if os.access(named, os.X_OK) else None
    for name in _NAMES:
        if on_path := shutil.which(name, path=environment.get("PATH", "")):
            return Path(on_path)
    for application in _APPLICATIONS:
        if os.access(application, os.X_OK):
            return Path(application)
    home = Path(environment.get("HOME", "/"))
    caches = [home / ".cache/ms-playwright", home / "Library/Caches/ms-playwright"]
    if moved := environment.get("PLAYWRIGHT_BROWSERS_PATH"):
        caches.insert(0, Path(moved))
    for cache in caches:
        for pattern in _BELOW_PLAYWRIGHT:
            for found in sorted(cache.glob(pattern), reverse=True):
                if os.access(found, os.X_OK):
                    return found
    return None


def provide() -> Path | None:
    """Find a Chromium or get one; where none can be had, say so loudly."""
    found = find() or _from_playwright() or _from_the_system()
    if found is None:
        say_loudly(
            "NO CHROMIUM: the browser tests will not run.",
            "Install Chromium (Debian: apt-get install chromium fonts-noto-cjk),",
            "or set BROWSER_PATH to one, and run this again.",
        )
    else:
        say(f"browser: {found}")
    return found


def _from_playwright() -> Path | None:
    python = ROOT / ".venv-app" / "bin" / "python"
    if not python.exists():
        return None
    with doing("no Chromium on this machine: asking Playwright to download one"):
        done = _quietly([str(python), "-m", "playwright", "install", "chromium"], seconds=300)
        if done:
            say(f"Playwright could not: {done}")
    return find()


def _from_the_system() -> Path | None:
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return None
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-noto-cjk"]
    with doing("installing the system's Chromium and Chinese fonts (apt-get)"):
        if _quietly(install, seconds=300):
            _quietly(["apt-get", "update", "-qq"], seconds=120)
            if done := _quietly(install, seconds=300):
                say(f"apt-get could not: {done}")
    return find()


def _quietly(command: list[str], *, seconds: int) -> str:
    """The last line of what went wrong, empty when nothing did."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else ((done.stderr or done.stdout).strip().splitlines() or ["it failed"])[-1]


def main() -> int:
    """Never a failure: what could not be had was said."""
    provide()
    sys.stdout.flush()
    return 0
