"""Style, script and fonts, read once and served from memory under an address that changes with their content."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "assets"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
_A_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, and the same compressed where that makes it smaller."""

    content_type: str
    plain: bytes
    squeezed: bytes | None


@cache
def assets() -> tuple[str, dict[str, Asset]]:
    """A digest of all files together (style names fonts by relative address), and the files by name."""
    digest, found = hashlib.sha256(), {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            plain = path.read_bytes()
            digest.update(path.name.encode() + b"\0" + plain)
            squeezed = gzip.compress(plain, 9, mtime=0) if path.suffix != ".woff2" else None
            found[path.name] = Asset(_TYPES[path.suffix], plain, squeezed)
    return digest.hexdigest()[:12], found


def asset_url(name: str) -> str:
    """Where a file is served."""
    digest, found = assets()
    if name not in found:
        raise KeyError(name)
    return f"/assets/{digest}/{name}"


async def serve_asset(request: web.Request) -> web.Response:
    """One file. A page of an older version still gets the present one, but keeps it only shortly."""
    digest, found = assets()
    asset = found.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    current = request.match_info["digest"] == digest
    headers = {"Cache-Control": _A_YEAR if current else "no-cache", "Vary": "Accept-Encoding"}
    headers["Content-Type"] = asset.content_type
    if asset.squeezed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.squeezed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=asset.plain, headers=headers)
