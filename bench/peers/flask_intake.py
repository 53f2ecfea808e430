"""What one would write with wechatpy and Flask: verify, decrypt, parse, store in PostgreSQL, acknowledge.

Served by gunicorn, one worker, synchronous or with threads; a connection to the database for each thread.
"""

import os
import threading
from typing import Any

import psycopg
from flask import Flask, Response, abort, request
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException

app = Flask(__name__)
_crypto = WeChatCrypto(os.environ["WECHAT_TOKEN"], os.environ["WECHAT_AES_KEY"], os.environ["WECHAT_APP_ID"])
_of_thread = threading.local()


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_of_thread, "connection"):
        _of_thread.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    connection: psycopg.Connection[Any] = _of_thread.connection
    return connection


@app.post("/wechat")
def receive() -> Response:
    """One push, stored once."""
    asked = request.args
    try:
        xml = _crypto.decrypt_message(
            request.get_data(as_text=True), asked["msg_signature"], asked["timestamp"], asked["nonce"]
        )
    except (InvalidSignatureException, InvalidAppIdException):
        abort(403)
    message = parse_message(xml)
    connection = _connection()
    with connection.transaction():
        connection.execute(
            "insert into bench_flask (msg_id, openid, kind, content, sent_at) values (%s, %s, %s, %s, %s)"
            " on conflict do nothing",
            (str(message.id), message.source, message.type, message.content, message.create_time),
        )
    return Response("success", mimetype="text/plain")
