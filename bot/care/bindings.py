"""What a scanned QR code binds: a doctor's WeChat to their staff account, a patient to a hospital.

A code works once (or, for a hospital, many times until it ends) and only until it expires.
"""

import secrets
import uuid
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.care.patients import person_of
from bot.care.roster import Hospital, Staff
from bot.store import audit
from bot.store.accounts import Account
from bot.store.base import Base

STAFF_CODE_LASTS = timedelta(minutes=30)
HOSPITAL_CODE_LASTS = timedelta(days=30)


class Binds(StrEnum):
    """What a code binds an account to."""

    STAFF = "staff"
    HOSPITAL = "hospital"


class QrScene(Base):
    """One code that was issued. `scene` is what WeChat hands back when it is scanned."""

    __tablename__ = "qr_scene"

    scene: Mapped[str] = mapped_column(primary_key=True)
    binds: Mapped[Binds]
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    hospital_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("hospital.id"))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


def issue(session: AsyncSession, *, staff: Staff | None = None, hospital: Hospital | None = None) -> QrScene:
    """A new code for exactly one of both."""
    assert (staff is None) != (hospital is None)
    now = clock.now()
    scene = QrScene(
        scene=secrets.token_urlsafe(24),
        binds=Binds.STAFF if staff is not None else Binds.HOSPITAL,
        staff_id=staff.id if staff is not None else None,
        hospital_id=hospital.id if hospital is not None else None,
        issued_at=now,
        expires_at=now + (STAFF_CODE_LASTS if staff is not None else HOSPITAL_CODE_LASTS),
    )
    session.add(scene)
    return scene


async def use(session: AsyncSession, account: Account, scene: str) -> str | None:
    """Bind the account as the code says; what the person is told, or None when it is no code of ours."""
    found = await session.scalar(select(QrScene).where(QrScene.scene == scene).with_for_update())
    if found is None:
        return None
    now = clock.now()
    if found.expires_at <= now or (found.binds is Binds.STAFF and found.used_at is not None):
        return "这个二维码已经失效，请让对方重新生成一个。"
    if found.binds is Binds.STAFF:
        staff = await session.get_one(Staff, found.staff_id, with_for_update=True)
        # A phone belongs to one: who had it before gets no alerts of a colleague's patients any more.
        await session.execute(update(Staff).where(Staff.account_id == account.id).values(account_id=None))
        staff.account_id = account.id
        said = f"{staff.name}，已绑定您的微信。值班时的提醒会发到这里。"
    else:
        hospital = await session.get_one(Hospital, found.hospital_id)
        person = await person_of(session, account.id)
        if person is not None:
            person.hospital_id = hospital.id
        account.scanned_hospital_id = hospital.id
        said = f"已为您选择{hospital.name}，您的问题会先转给这家医院的值班医生。"
    found.used_at, found.used_by = now, account.id
    audit.record(
        session,
        f"qr_bound_{found.binds}",
        actor_kind="patient",
        actor_id=account.id,
        subject_kind=found.binds,
        subject_id=found.staff_id or found.hospital_id,
    )
    return said
