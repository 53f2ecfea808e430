"""Making `requirements/*.txt` from `pyproject.toml`: hashed, and without the address of any registry or path."""

from __future__ import annotations

import re
from pathlib import Path

from bot.setup import interpreters
from bot.setup.environments import ENVIRONMENTS, ROOT, installer, run_uv
from bot.setup.saying import CannotSetUp, doing

_BARE = ("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate")
_ADDRESS = re.compile(r"://|^-|^\s*/|\s@\s", re.MULTILINE)


def lock(*, upgrade: bool = False, root: Path = ROOT) -> None:
    """Write the files of all groups; versions stay as they are unless `upgrade`.

    Raises:
        CannotSetUp: an interpreter is missing, nothing satisfies the groups, or a file would name an address.
    """
    uv = installer(root)
    for group, environment in ENVIRONMENTS.items():
        python = interpreters.find(environment.version)
        if python is None:
            raise CannotSetUp(
                f"locking `{group}` needs Python {environment.version}: {interpreters.how_to_get(environment.version)}"
            )
        target = root / environment.requirements
        before = target.read_text() if target.exists() else ""
        with doing(f"locking {environment.requirements}"):
            arguments = ["--group", f"pyproject.toml:{group}", "--python", str(python)]
            # Rasa's overridden dependencies would come back for every platform it names.
            arguments += [] if group in ("engine", "stock") else ["--universal"]
            # Nor may they be dropped where Rasa is measured as it comes.
            arguments += ["--no-config"] if group == "stock" else []
            arguments += ["--python-version", environment.version, *_BARE, "--output-file", environment.requirements]
            run_uv(uv, "pip", "compile", *arguments, *(["--upgrade"] if upgrade else []), root=root)
        if _ADDRESS.search(target.read_text()):
            target.write_text(before)
            raise CannotSetUp(f"{environment.requirements} would name an address or a path; left as it was")
