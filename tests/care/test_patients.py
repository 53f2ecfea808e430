"""An account is not a person; what was agreed to, and taken back, stays on record."""

from datetime import date, timedelta

import pytest
from care.ward import Ward
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import patients
from bot.care.patients import ActsFor, Consent, Person, Relation
from bot.store.database import vault_of
from bot.store.vault import Unreadable, Vault


async def test_nobody_has_a_record_before_agreeing(ward: Ward, session: AsyncSession) -> None:
    account = await ward.account()
    assert not await patients.has_consented(session, account.id)
    assert await patients.person_of(session, account.id) is None


async def test_agreeing_makes_one_person_and_says_so_in_the_audit(ward: Ward, session: AsyncSession) -> None:
    account = await ward.account()
    person = await patients.give_consent(session, account)
    assert await patients.has_consented(session, account.id)
    assert await patients.person_of(session, account.id) is person
    assert person.id != account.id
    assert await ward.acts(account.id) == ["consent_given"]


async def test_agreeing_twice_changes_nothing(ward: Ward, session: AsyncSession) -> None:
    account = await ward.account()
    first = await patients.give_consent(session, account)
    assert await patients.give_consent(session, account) is first
    consents = list(await session.scalars(select(Consent).where(Consent.account_id == account.id)))
    assert len(consents) == 1
    assert await ward.acts(account.id) == ["consent_given"]


async def test_consent_taken_back_ends_it_and_deletes_nothing(ward: Ward, session: AsyncSession) -> None:
    account, person = await ward.patient()
    assert await patients.withdraw_consent(session, account)
    assert not await patients.has_consented(session, account.id)
    assert await session.get(Person, person.id) is person
    [consent] = await session.scalars(select(Consent).where(Consent.account_id == account.id))
    assert consent.withdrawn_at is not None
    assert await ward.acts(account.id) == ["consent_given", "consent_withdrawn"]


async def test_there_is_nothing_to_take_back_twice(ward: Ward, session: AsyncSession) -> None:
    account, _ = await ward.patient()
    assert await patients.withdraw_consent(session, account)
    assert not await patients.withdraw_consent(session, account)
    assert (await ward.acts(account.id)).count("consent_withdrawn") == 1


async def test_agreeing_again_continues_the_same_record(ward: Ward, session: AsyncSession) -> None:
    account, person = await ward.patient()
    await patients.withdraw_consent(session, account)
    assert await patients.give_consent(session, account) is person
    consents = list(await session.scalars(select(Consent).where(Consent.account_id == account.id)))
    assert sorted(consent.withdrawn_at is None for consent in consents) == [False, True]


async def test_agreement_to_an_older_text_no_longer_counts(ward: Ward, session: AsyncSession) -> None:
    account, _ = await ward.patient()
    [consent] = await session.scalars(select(Consent).where(Consent.account_id == account.id))
    consent.version = patients.CONSENT_VERSION - 1
    await session.flush()
    assert not await patients.has_consented(session, account.id)


async def test_a_mother_speaks_about_the_one_she_added_last(ward: Ward, session: AsyncSession) -> None:
    account, herself = await ward.patient()
    child = await patients.add_person(session, account, Relation.GUARDIAN)
    assert await patients.person_of(session, account.id) is child
    of_account = select(ActsFor).where(ActsFor.account_id == account.id)
    assert {row.person_id: row.chosen for row in await session.scalars(of_account)} == {
        herself.id: False,
        child.id: True,
    }


async def test_two_parents_act_for_one_child(ward: Ward, session: AsyncSession) -> None:
    mother, _ = await ward.patient()
    child = await patients.add_person(session, mother, Relation.GUARDIAN)
    father, his_own = await ward.patient()
    now = clock.now() + timedelta(minutes=1)
    session.add(ActsFor(account_id=father.id, person_id=child.id, relation=Relation.GUARDIAN, chosen=False, since=now))
    await session.flush()
    assert await patients.accounts_of(session, child.id) == [mother, father]
    assert await patients.person_of(session, father.id) is his_own


async def test_a_new_record_belongs_to_the_hospital_whose_code_was_scanned(ward: Ward, session: AsyncSession) -> None:
    hospital, account = await ward.hospital("江南一院"), await ward.account()
    account.scanned_hospital_id = hospital.id
    person = await patients.give_consent(session, account)
    assert person.hospital_id == hospital.id


async def test_a_name_is_sealed_and_found_by_its_blind_index(ward: Ward, session: AsyncSession) -> None:
    vault = vault_of(session)
    _, person = await ward.patient(name="林晓雨")
    _, other = await ward.patient(name="林晓雪")
    await session.flush()
    assert person.name_sealed is not None
    assert "林晓雨".encode() not in person.name_sealed
    assert person.name(vault) == "林晓雨"
    found = list(await session.scalars(select(Person).where(Person.name_blind == vault.blind("林晓雨", "name"))))
    assert found == [person]
    assert other.name_blind != person.name_blind


async def test_a_name_opens_under_its_own_persons_key_only(ward: Ward, session: AsyncSession, vault: Vault) -> None:
    _, person = await ward.patient(name="林晓雨")
    _, other = await ward.patient(name="王芳")
    other.name_sealed = person.name_sealed
    with pytest.raises(Unreadable):
        other.name(vault)


async def test_who_told_no_name_has_none(ward: Ward, vault: Vault) -> None:
    _, person = await ward.patient()
    assert person.name(vault) is None


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        (date(1990, 3, 4), date(2026, 3, 3), 35),
        (date(1990, 3, 4), date(2026, 3, 4), 36),
        (date(2024, 2, 29), date(2026, 2, 28), 1),
        (date(2024, 2, 29), date(2026, 3, 1), 2),
        (None, date(2026, 3, 4), None),
    ],
)
def test_age_is_in_full_years(born: date | None, on: date, age: int | None) -> None:
    assert Person(born_on=born).age(on) == age
