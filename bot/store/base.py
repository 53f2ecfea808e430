"""What all tables share: the declarative base, names of constraints, ids, and the types of columns."""

import uuid
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

import uuid_utils.compat
from sqlalchemy import ARRAY, ColumnElement, Date, DateTime, Enum, LargeBinary, MetaData, Text, Uuid, any_, literal
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase


def new_id() -> uuid.UUID:
    """A UUID that sorts by the time it was made (version 7), known before the row is written."""
    return uuid_utils.compat.uuid7()


def one_of(ids: Iterable[uuid.UUID]) -> ColumnElement[Any]:
    """For `column == one_of(ids)`: one parameter and one statement however many there are (`in` makes one for each)."""
    return any_(literal(list(ids), ARRAY(Uuid())))


def _values(kind: type[StrEnum]) -> list[str]:
    return [item.value for item in kind]


class Base(AsyncAttrs, DeclarativeBase):
    """The base of every table. Moments are aware and stored in UTC, enums as their text."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        date: Date(),
        str: Text(),
        bytes: LargeBinary(),
        uuid.UUID: Uuid(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        # Text in the database: a new state is then no migration of a type.
        StrEnum: Enum(StrEnum, native_enum=False, length=32, values_callable=_values),
    }
