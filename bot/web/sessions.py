"""Sessions of staff: a random id in a cookie, everything else here, so that leaving ends them."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.base import Base


class StaffSession(Base):
    """One log-in. Only a hash of the cookie's value is stored."""

    __tablename__ = "staff_session"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), index=True)
    csrf: Mapped[str]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    device: Mapped[str | None]


class PatientSession(Base):
    """One patient's page session after WeChat's page login."""

    __tablename__ = "patient_session"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    csrf: Mapped[str]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class LoginTrouble(Base):
    """Failed log-ins, to slow down guessing; counted for a login name (as blind index) within a quarter of an hour."""

    __tablename__ = "login_trouble"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    login_blind: Mapped[bytes] = mapped_column(index=True)
    at: Mapped[datetime]
