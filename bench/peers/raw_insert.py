"""The limit: a bare aiohttp handler that stores the body with one raw insert and says `success`. It verifies nothing."""

import os

import asyncpg
import uvloop
from aiohttp import web


async def app() -> web.Application:
    """The application, with a pool of connections as large as ours."""
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=20, max_size=20)

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        await pool.execute("insert into bench_raw (body) values ($1)", body)
        return web.Response(text="success")

    built = web.Application()
    built.add_routes([web.post("/wechat", handle)])
    return built


if __name__ == "__main__":
    uvloop.install()
    web.run_app(app(), host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None, backlog=512)
