"""Section 4: one token for the whole deployment."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bot.store import embedded
from bot.wechat.client import WeChat
from bot.wechat.errors import LoginStale, Misconfigured, TokenRejected, Unavailable, Unknown, WeChatError
from bot.wechat.token import AccessToken
from bot.wechat.transport import Transport

from .other_side import Connect, FakeApi

STABLE = "cgi-bin/stable_token"
INFO = "cgi-bin/user/info"


async def test_many_tasks_of_many_processes_fetch_one_token(api: FakeApi, connect: Connect) -> None:
    async def slowly(_request: Any) -> web.Response:
        await asyncio.sleep(0.05)
        api.tokens += 1
        return web.json_response({"access_token": f"token-{api.tokens}", "expires_in": 7200})

    api.tell(STABLE, slowly)
    processes = [connect() for _ in range(8)]
    tokens = await asyncio.gather(*(process.token.get() for process in processes for _ in range(5)))
    assert set(tokens) == {"token-1"}
    assert len(api.of(STABLE)) == 1


async def test_the_token_is_asked_for_as_stable_and_kept_until_five_minutes_before_its_end(
    api: FakeApi, client: WeChat, redis: Redis
) -> None:
    api.tell(STABLE, {"access_token": "t", "expires_in": 7200})
    assert await client.token.get() == "t"
    [call] = api.of(STABLE)
    assert call["json"] == {
        "grant_type": "client_credential",
        "appid": "wx-of-the-tests",
        "secret": "app-secret-of-the-tests",
        "force_refresh": False,
    }
    assert call["query"] == {}
    [key] = await redis.keys("*:token")
    assert 6890 <= await redis.ttl(key) <= 6900


@pytest.mark.parametrize(("lasts", "kept"), [(600, 300), (200, 100), (1, 1)])
async def test_a_token_near_its_end_is_kept_for_half_of_what_is_left(
    lasts: int, kept: int, api: FakeApi, client: WeChat, redis: Redis
) -> None:
    api.tell(STABLE, {"access_token": "t", "expires_in": lasts})
    await client.token.get()
    [key] = await redis.keys("*:token")
    assert kept - 1 <= await redis.ttl(key) <= kept


async def test_a_token_that_ran_out_is_fetched_again(api: FakeApi, client: WeChat, redis: Redis) -> None:
    assert await client.token.get() == "token-1"
    for key in await redis.keys("*:token"):
        await redis.delete(key)
    assert await client.token.get() == "token-2"


async def test_many_who_were_refused_refresh_once(api: FakeApi, connect: Connect) -> None:
    processes = [connect() for _ in range(4)]
    old = await processes[0].token.get()
    fresh = await asyncio.gather(*(process.token.refresh(old) for process in processes for _ in range(5)))
    assert set(fresh) == {"token-2"}
    assert len(api.of(STABLE)) == 2


async def test_a_refused_token_that_wechat_still_hands_out_is_replaced_by_force_once(
    api: FakeApi, client: WeChat
) -> None:
    api.tell(
        STABLE,
        {"access_token": "old", "expires_in": 7200},
        {"access_token": "old", "expires_in": 7200},
        {"access_token": "new", "expires_in": 7200},
    )
    assert await client.token.get() == "old"
    assert await client.token.refresh("old") == "new"
    assert [call["json"]["force_refresh"] for call in api.of(STABLE)] == [False, False, True]


async def test_force_is_not_used_twice_within_half_a_minute(api: FakeApi, client: WeChat) -> None:
    api.tell(STABLE, {"access_token": "old", "expires_in": 7200})
    await client.token.get()
    for _ in range(3):
        assert await client.token.refresh("old") == "old"
    assert [call["json"]["force_refresh"] for call in api.of(STABLE)].count(True) == 1


@pytest.mark.parametrize("code", [40001, 40013, 40125, 40164])
async def test_a_wrong_secret_app_id_or_address_stops_and_says_so(code: int, api: FakeApi, client: WeChat) -> None:
    api.tell(STABLE, {"errcode": code, "errmsg": "invalid, rid: 5f8e3b1a-11223344-55667788"})
    with pytest.raises(Misconfigured) as wrong:
        await client.token.get()
    assert wrong.value.code == code
    assert "rid 5f8e3b1a-11223344-55667788" in str(wrong.value)
    assert len(api.of(STABLE)) == 1


async def test_a_busy_wechat_is_asked_again_and_not_without_end(api: FakeApi, client: WeChat) -> None:
    api.tell(STABLE, {"errcode": -1, "errmsg": "system error"}, {"access_token": "t", "expires_in": 7200})
    assert await client.token.get() == "t"
    api.tell(STABLE, {"errcode": -1, "errmsg": "system error"})
    api.calls.clear()
    with pytest.raises(Unavailable):
        await client.token.refresh("t")
    assert len(api.of(STABLE)) == 3


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "", "expires_in": 7200},
        {"access_token": 5, "expires_in": 7200},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "t", "expires_in": "soon"},
    ],
)
async def test_a_token_that_is_none_is_not_kept(answer: Any, api: FakeApi, client: WeChat, redis: Redis) -> None:
    api.tell(STABLE, answer)
    with pytest.raises(Unknown):
        await client.token.get()
    assert not await redis.keys("*:token")


async def test_the_lock_of_a_process_that_failed_is_free_again(api: FakeApi, client: WeChat, connect: Connect) -> None:
    api.tell(STABLE, {"errcode": 40125, "errmsg": "x"}, {"access_token": "t", "expires_in": 7200})
    with pytest.raises(Misconfigured):
        await client.token.get()
    assert await asyncio.wait_for(connect().token.get(), 2) == "t"


async def test_a_process_that_died_with_the_lock_does_not_silence_the_others(api: FakeApi, redis: Redis) -> None:
    await redis.set("wechat:wx:token:lock", "of a process that is no more")
    transport = Transport(api.url)
    began = asyncio.get_running_loop().time()
    tokens = [AccessToken(redis, transport, "wx", "s", patience=0.2) for _ in range(2)]
    assert await tokens[0].get() == await tokens[1].get() == "token-1"
    assert 0.1 <= asyncio.get_running_loop().time() - began < 3
    await transport.close()


async def test_a_new_token_that_never_came_is_not_taken_for_a_message_that_may_have_been_sent(
    api: FakeApi, connect: Connect
) -> None:
    async def unanswered_when_forced(request: web.Request) -> web.Response:
        if (await request.json())["force_refresh"]:
            return web.Response(status=502)
        return web.json_response({"access_token": "old", "expires_in": 7200})

    api.tell(STABLE, unanswered_when_forced)
    api.tell("cgi-bin/message/custom/send", {"errcode": 42001, "errmsg": "access_token expired"})
    with pytest.raises(WeChatError) as error:
        await connect().send_text("o1", "好")
    assert type(error.value) is Unavailable


async def test_without_redis_a_process_keeps_a_token_of_its_own(api: FakeApi, connect: Connect, tmp_path: Path) -> None:
    own, address = embedded.start_valkey(tmp_path)
    redis = Redis.from_url(address, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    client = connect(redis=redis)
    try:
        assert await client.token.get() == "token-1"
    finally:
        own.stop()
    assert [await client.token.get() for _ in range(3)] == ["token-1"] * 3
    assert await client.token.refresh("token-1") == "token-2"
    assert await client.token.get() == "token-2"
    stranger = connect(redis=redis)
    assert await stranger.token.get() == "token-3"
    await redis.aclose()


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_a_refused_token_is_refreshed_once_and_the_call_made_again_once(
    code: int, api: FakeApi, client: WeChat
) -> None:
    api.tell(INFO, {"errcode": code, "errmsg": "access_token expired"}, {"subscribe": 1, "openid": "o1"})
    assert (await client.user_info("o1"))["subscribe"] == 1
    assert [call["query"]["access_token"] for call in api.of(INFO)] == ["token-1", "token-2"]


async def test_a_token_that_is_refused_again_ends_the_call(api: FakeApi, client: WeChat) -> None:
    api.tell(INFO, {"errcode": 40001, "errmsg": "invalid credential"})
    with pytest.raises(TokenRejected):
        await client.user_info("o1")
    assert len(api.of(INFO)) == 2
    assert len(api.of(STABLE)) == 2


async def test_neither_token_nor_secret_is_in_any_log_or_exception(api: FakeApi, connect: Connect) -> None:
    with structlog.testing.capture_logs() as logs:
        client = connect(timeout=0.6)
        await client.token.get()

        async def hang(_request: Any) -> None:
            await asyncio.sleep(3)

        raised: list[BaseException] = []
        for answer in ({"errcode": 40001, "errmsg": "token-1 is invalid"}, hang, web.Response(status=502), {"a": 1}):
            api.tell(INFO, answer)
            with pytest.raises(Unavailable) as error:
                await client.user_info("oSomebody")
            raised.append(error.value)
        api.tell("sns/oauth2/access_token", hang)
        with pytest.raises(LoginStale) as stale:
            await client.oauth_openid("login-code")
        raised.append(stale.value)
    seen = str(logs)
    for link in raised:
        chain: BaseException | None = link
        while chain is not None:
            seen += repr(chain) + str(chain)
            chain = chain.__cause__ or chain.__context__
    assert "token.fetched" in seen
    for secret in ("token-1", "token-2", "app-secret-of-the-tests", "oSomebody", "login-code", "access_token="):
        assert secret not in seen
