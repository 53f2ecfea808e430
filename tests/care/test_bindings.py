"""QR codes: one binds a doctor's phone, one chooses a patient's hospital; each only while it lasts."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import bindings, patients
from bot.care.bindings import HOSPITAL_CODE_LASTS, STAFF_CODE_LASTS
from bot.care.roster import account_of


async def test_a_doctor_who_scans_gets_the_alerts_from_then_on(ward: Ward, session: AsyncSession) -> None:
    doctor = await ward.staff("李慧", await ward.hospital("江南一院"), phone=False)
    account, code = await ward.account(), bindings.issue(session, staff=doctor)
    said = await bindings.use(session, account, code.scene)
    assert said is not None
    assert said.startswith("李慧，已绑定您的微信")
    assert await account_of(session, doctor) is account
    assert await ward.acts(doctor.id) == ["qr_bound_staff"]


async def test_a_doctors_code_works_once(ward: Ward, session: AsyncSession) -> None:
    doctor = await ward.staff("李慧", await ward.hospital("江南一院"), phone=False)
    first, thief = await ward.account(), await ward.account()
    code = bindings.issue(session, staff=doctor)
    await bindings.use(session, first, code.scene)
    said = await bindings.use(session, thief, code.scene)
    assert said is not None
    assert "失效" in said
    assert doctor.account_id == first.id


async def test_a_doctor_with_a_new_phone_takes_the_alerts_along(ward: Ward, session: AsyncSession) -> None:
    doctor = await ward.staff("李慧", await ward.hospital("江南一院"))
    new = await ward.account()
    await bindings.use(session, new, bindings.issue(session, staff=doctor).scene)
    assert doctor.account_id == new.id


async def test_a_phone_that_belonged_to_another_member_of_staff_moves_to_the_new_one(
    ward: Ward, session: AsyncSession
) -> None:
    hospital = await ward.hospital("江南一院")
    before, after = await ward.staff("李慧", hospital), await ward.staff("王强", hospital, phone=False)
    account = await account_of(session, before)
    assert account is not None
    said = await bindings.use(session, account, bindings.issue(session, staff=after).scene)
    await session.flush()
    assert said is not None
    assert after.account_id == account.id
    assert before.account_id is None


@pytest.mark.parametrize("kind", ["staff", "hospital"])
async def test_an_old_code_binds_nothing(
    ward: Ward, session: AsyncSession, now: datetime, at: Callable[[datetime], datetime], kind: str
) -> None:
    hospital = await ward.hospital("江南一院")
    doctor = await ward.staff("李慧", hospital, phone=False)
    code = bindings.issue(session, staff=doctor) if kind == "staff" else bindings.issue(session, hospital=hospital)
    lasts = STAFF_CODE_LASTS if kind == "staff" else HOSPITAL_CODE_LASTS
    at(clock.now() + lasts + timedelta(seconds=1))
    account = await ward.account()
    said = await bindings.use(session, account, code.scene)
    assert said is not None
    assert "失效" in said
    assert doctor.account_id is None
    assert account.scanned_hospital_id is None


async def test_a_hospitals_code_serves_many_patients(ward: Ward, session: AsyncSession) -> None:
    hospital = await ward.hospital("江南一院")
    code = bindings.issue(session, hospital=hospital)
    account, person = await ward.patient()
    newcomer = await ward.account()
    for one in (account, newcomer):
        said = await bindings.use(session, one, code.scene)
        assert said is not None
        assert "江南一院" in said
    assert person.hospital_id == hospital.id
    assert (await patients.give_consent(session, newcomer)).hospital_id == hospital.id


@pytest.mark.parametrize("scene", ["", "someone-elses", "'; drop table staff"])
async def test_a_code_that_is_not_ours_does_nothing(ward: Ward, session: AsyncSession, scene: str) -> None:
    assert await bindings.use(session, await ward.account(), scene) is None


async def test_codes_cannot_be_guessed_from_one_another(ward: Ward, session: AsyncSession) -> None:
    hospital = await ward.hospital("江南一院")
    scenes = {bindings.issue(session, hospital=hospital).scene for _ in range(50)}
    assert len(scenes) == 50
    assert all(len(scene) >= 30 for scene in scenes)
