"""Sealed values: open only with their key and in their place; keys are changed and destroyed."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store.vault import Key, Unreadable, Vault

OLD, NEW = bytes(32), bytes(range(32))
places = st.tuples(st.sampled_from(["message", "outbox"]), st.sampled_from(["text", "content"]), st.integers(0, 9))


def key_of(vault: Vault, owner: str = "account") -> Key:
    return vault.unwrap(vault.new_key(owner), owner)


@given(st.text(), places)
def test_what_is_sealed_opens_in_its_place(text: str, place: tuple[str, str, int]) -> None:
    key = key_of(Vault([OLD]))
    assert key.unseal(key.seal(text, *place), *place) == text


@given(st.binary(max_size=4096), places)
def test_files_are_sealed_like_texts(data: bytes, place: tuple[str, str, int]) -> None:
    key = key_of(Vault([OLD]))
    assert key.unseal_bytes(key.seal_bytes(data, *place), *place) == data


@given(st.text(), places, places)
def test_a_value_moved_elsewhere_does_not_open(
    text: str, here: tuple[str, str, int], there: tuple[str, str, int]
) -> None:
    key = key_of(Vault([OLD]))
    sealed = key.seal(text, *here)
    if here == there:
        assert key.unseal(sealed, *there) == text
    else:
        with pytest.raises(Unreadable):
            key.unseal(sealed, *there)


@given(st.text(), st.integers(min_value=0), st.integers(1, 255))
def test_a_value_with_one_byte_changed_does_not_open(text: str, where: int, change: int) -> None:
    key = key_of(Vault([OLD]))
    sealed = bytearray(key.seal(text, "message", "text", 1))
    sealed[where % len(sealed)] ^= change
    with pytest.raises(Unreadable):
        key.unseal(bytes(sealed), "message", "text", 1)


@given(st.text(min_size=4))
def test_a_sealed_value_shows_nothing_and_is_never_twice_the_same(text: str) -> None:
    key = key_of(Vault([OLD]))
    first, second = (key.seal(text, "message", "text", 1) for _ in range(2))
    assert first != second
    assert text.encode() not in first


def test_the_key_of_one_account_does_not_open_what_another_sealed() -> None:
    vault = Vault([OLD])
    sealed = key_of(vault).seal("头疼", "message", "text", 1)
    with pytest.raises(Unreadable):
        key_of(vault).unseal(sealed, "message", "text", 1)


def test_an_accounts_key_is_not_taken_for_a_persons() -> None:
    vault = Vault([OLD])
    with pytest.raises(Unreadable):
        Vault([OLD]).unwrap(vault.new_key("account"), "person")


@pytest.mark.parametrize("destroyed", [None, b""])
def test_a_destroyed_key_opens_nothing(destroyed: bytes | None) -> None:
    with pytest.raises(Unreadable, match="destroyed"):
        Vault([OLD]).unwrap(destroyed, "account")


def test_a_stranger_with_another_master_key_opens_nothing() -> None:
    wrapped = Vault([OLD]).new_key("account")
    with pytest.raises(Unreadable):
        Vault([NEW]).unwrap(wrapped, "account")


def test_a_key_wrapped_anew_opens_what_it_sealed_before() -> None:
    before = Vault([OLD])
    wrapped = before.new_key("person")
    sealed = before.unwrap(wrapped, "person").seal("林", "person", "name", 1)

    anew = Vault([NEW, OLD]).rewrap(wrapped, "person")

    assert Vault([NEW]).unwrap(anew, "person").unseal(sealed, "person", "name", 1) == "林"
    with pytest.raises(Unreadable):
        Vault([OLD]).unwrap(anew, "person")


def test_while_keys_are_changed_old_and_new_are_both_read_and_new_is_written() -> None:
    both = Vault([NEW, OLD])
    both.unwrap(Vault([OLD]).new_key("account"), "account")
    Vault([NEW]).unwrap(both.new_key("account"), "account")


def test_people_are_still_found_while_keys_are_changed() -> None:
    assert Vault([NEW, OLD]).blind("oAbc", "openid") == Vault([OLD]).blind("oAbc", "openid")


@given(st.text(), st.text())
def test_the_blind_index_finds_the_same_text_and_no_other(one: str, other: str) -> None:
    vault = Vault([OLD])
    assert (vault.blind(one, "name") == vault.blind(other, "name")) == (one == other)


def test_the_blind_index_is_not_shared_between_purposes_or_keys() -> None:
    assert Vault([OLD]).blind("林", "name") != Vault([OLD]).blind("林", "openid")
    assert Vault([OLD]).blind("林", "name") != Vault([NEW]).blind("林", "name")


def test_the_vaults_own_key_outlives_a_restart_and_not_another_master_key() -> None:
    sealed = Vault([OLD]).own_key.seal("alert", "outbox", "content", 1)
    assert Vault([OLD]).own_key.unseal(sealed, "outbox", "content", 1) == "alert"
    with pytest.raises(Unreadable):
        Vault([NEW]).own_key.unseal(sealed, "outbox", "content", 1)


def test_keys_come_from_settings_in_base64() -> None:
    key = base64.b64encode(os.urandom(32)).decode()
    Vault.of(key).unwrap(Vault.of(key).new_key("account"), "account")


def test_neither_vault_nor_key_shows_its_bytes() -> None:
    raw = bytes(range(100, 132))
    vault = Vault([raw])
    assert repr(raw)[2:-1] not in repr(vault) + repr(key_of(vault)) + repr(vars(vault))
