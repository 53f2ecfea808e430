"""Talks to the engine, and doubts it.

A turn either gives messages, or a reason to try again with the same message id: the engine saves a turn once and gives a
saved turn's answer again, so trying again is always safe.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson

TURN_SECONDS = 25.0
LONGEST_TEXT = 1000

type Json = dict[str, Any]


class EngineUnavailable(Exception):
    """The engine did not answer, or was busy with this conversation; nothing is known to have happened."""


class TurnAborted(Exception):
    """The engine answered that the turn failed, or answered nothing at all; nothing was saved."""


class FormOpen(Exception):
    """Nothing was triggered, because a form waits for the person's answer."""


class Refused(Exception):
    """The engine refused the request itself (secret, form of the body): trying again will not help."""


@dataclass(frozen=True)
class EngineAnswer:
    """`messages` each hold some of text, buttons, custom, image; empty when the answer is silent on purpose."""

    messages: list[Json]
    replayed: bool


class EngineClient:
    """The engine's replicas. A conversation always asks the same one first.

    >>> EngineClient(["http://127.0.0.1:5005"], secret="s" * 16, token="t").order("c1")
    ['http://127.0.0.1:5005']
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        secret: str,
        token: str,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        if not urls:
            raise ValueError("expected at least one engine address")
        self._urls = [url.rstrip("/") for url in urls]
        self._headers = {"X-Engine-Secret": secret}
        self._token = token
        self._turn = aiohttp.ClientTimeout(total=turn_seconds, connect=3)
        self._short = aiohttp.ClientTimeout(total=3)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def order(self, conversation_id: str) -> list[str]:
        """The replicas in the order this conversation asks them."""
        first = zlib.crc32(conversation_id.encode()) % len(self._urls)
        return self._urls[first:] + self._urls[:first]

    async def say(
        self,
        conversation_id: str,
        text: str,
        message_id: str,
        trace_id: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> EngineAnswer:
        """One message of the person, and the answer; at most 1,000 characters of it are understood.

        Raises:
            EngineUnavailable: no answer; try again with the same message id.
            TurnAborted: failed with nothing saved; try again with the same message id.
            Refused: wrong secret or an unusable message.
        """
        body = {"text": text[:LONGEST_TEXT], "metadata": dict(metadata or {})}
        return await self._take_turn("/webhooks/app/webhook", conversation_id, message_id, trace_id, body)

    async def trigger(
        self,
        conversation_id: str,
        intent: str,
        message_id: str,
        trace_id: str = "",
        *,
        slots: Mapping[str, Any] | None = None,
        entities: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> EngineAnswer:
        """Start something the person did not ask for (`EXTERNAL_checkin`), with slots set beforehand.

        Raises:
            FormOpen: a form waits for an answer; nothing happened.
            EngineUnavailable, TurnAborted, Refused: as in `say`.
        """
        body = {
            "intent": intent,
            "slots": dict(slots or {}),
            "entities": dict(entities or {}),
            "metadata": dict(metadata or {}),
        }
        return await self._take_turn("/webhooks/app/trigger", conversation_id, message_id, trace_id, body)

    async def ready(self) -> bool:
        """Whether at least one replica has a model and answers."""
        for url in self._urls:
            if await self.model(url) is not None:
                return True
        return False

    async def model(self, url: str) -> str | None:
        """The file name of the model that a replica serves; None when it is not ready or not ours."""
        try:
            async with self._http().get(
                url + "/status", params={"token": self._token}, timeout=self._short
            ) as response:
                if response.status != 200:
                    return None
                return str(orjson.loads(await response.read())["model_file"])
        except (
            aiohttp.ClientError,
            TimeoutError,
            orjson.JSONDecodeError,
            KeyError,
            TypeError,
        ):
            return None

    async def parse(self, text: str) -> Json:
        """How the serving model understands a text, outside any conversation (intent, ranking, entities, topics).

        Raises:
            EngineUnavailable: no replica answers.
        """
        for url in self._urls:
            try:
                async with self._http().post(
                    url + "/model/parse",
                    params={"token": self._token},
                    json={"text": text[:LONGEST_TEXT]},
                    timeout=self._short,
                ) as response:
                    if response.status == 200:
                        parsed: Json = orjson.loads(await response.read())
                        return parsed
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
                continue
        raise EngineUnavailable

    async def _take_turn(
        self,
        path: str,
        conversation_id: str,
        message_id: str,
        trace_id: str,
        body: Json,
    ) -> EngineAnswer:
        payload = orjson.dumps(
            {
                **body,
                "sender": conversation_id,
                "message_id": message_id,
                "trace_id": trace_id,
            }
        )
        headers = {**self._headers, "Content-Type": "application/json"}
        for url in self.order(conversation_id):
            try:
                async with self._http().post(url + path, data=payload, headers=headers, timeout=self._turn) as response:
                    content = await response.read()
                    return self._answer(response.status, content)
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                # The turn may be running there still; another replica would only wait for its lock.
                raise EngineUnavailable from error
        raise EngineUnavailable

    @staticmethod
    def _answer(status: int, content: bytes) -> EngineAnswer:
        try:
            body: Json = orjson.loads(content)
        except orjson.JSONDecodeError:
            body = {}
        reason = body.get("error") if isinstance(body, dict) else None
        if status == 200 and isinstance(body, dict):
            messages = body.get("messages") or []
            spoken = [said for said in messages if not (said.get("custom") or {}).get("silent")]
            if not messages:
                raise TurnAborted("an empty answer")
            return EngineAnswer(spoken, bool(body.get("replayed")))
        if status == 409 and reason == "form_open":
            raise FormOpen
        if status in (400, 401, 404):
            raise Refused(f"{status} {body.get('field') or reason or ''}".strip())
        if status == 503 and reason == "turn_aborted":
            raise TurnAborted(reason)
        raise EngineUnavailable(f"{status} {reason or ''}".strip())

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            # Idle connections are dropped here before the engine drops them (after 120 s).
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, keepalive_timeout=60))
        return self._session
