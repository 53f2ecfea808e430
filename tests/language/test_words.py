"""Words, and medicines by all their names."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.language import words
from bot.language.medicines import groups, read_medicines
from bot.language.words import cut, dictionary_hash, lexicon_entries


@pytest.mark.parametrize(
    "word", ["艾曲泊帕", "海曲泊帕", "牙龈出血", "柏油样便", "血小板", "利妥昔单抗", "平均血小板体积", "脾切除"]
)
def test_words_of_the_trade_are_kept_whole(word):
    assert word in [found.text for found in cut(f"我想问一下{word}的事")]


def test_a_decimal_is_one_word():
    assert [word.text for word in cut("血小板2.3万")][:2] == ["血小板", "2.3"]


@given(st.text(max_size=60))
def test_words_stand_where_they_say(text):
    found = cut(text)
    for word in found:
        assert text[word.start : word.end] == word.text
    assert "".join(word.text for word in found) == "".join("" if char.isspace() else char for char in text) or any(
        char.isspace() for char in text
    )


def test_the_lexicon_is_large_and_its_hash_is_stable():
    assert len(lexicon_entries()) >= 300
    assert dictionary_hash() == dictionary_hash() and len(dictionary_hash()) == 64


def test_loading_leaves_the_shared_tokenizer_and_the_temporary_directory_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(words, "_tokenizer", None)
    logging.getLogger("jieba").setLevel(logging.ERROR)
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append([word.text for word in cut("艾曲泊帕加量")])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["艾曲泊帕", "加量"]] * 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "generic"),
    [
        *(
            ("强的松", "泼尼松"),
            ("地米", "地塞米松"),
            ("丙球", "静注人免疫球蛋白"),
            ("特比澳", "重组人血小板生成素"),
            ("艾曲波帕", "艾曲泊帕"),
        ),
        *(
            ("瑞弗兰", "艾曲泊帕"),
            ("恒曲", "海曲泊帕"),
            ("阿法曲泊帕", "阿伐曲泊帕"),
            ("美罗华", "利妥昔单抗"),
            ("利妥西单抗", "利妥昔单抗"),
        ),
        *(
            ("骁悉", "吗替麦考酚酯"),
            ("芬必得", "布洛芬"),
            ("拜阿司匹林", "阿司匹林"),
            ("波立维", "氯吡格雷"),
            ("艾曲", "艾曲泊帕"),
            ("激素", "糖皮质激素"),
        ),
        *(("Eltrombopag", "艾曲泊帕"), ("甲强龙", "甲泼尼龙"), ("艾曲泊帕乙醇胺片", "艾曲泊帕")),
    ],
)
def test_a_medicine_is_known_by_every_name(said, generic):
    found = read_medicines(f"我在吃{said}，两片")
    assert [(medicine.generic, medicine.said) for medicine in found] == [(generic, said)]


def test_the_longest_name_wins_and_each_mention_counts_once():
    assert [medicine.generic for medicine in read_medicines("甲基强的松龙和强的松")] == ["甲泼尼龙", "泼尼松"]


def test_a_short_latin_name_inside_a_word_is_no_medicine():
    assert read_medicines("ratatra") == []


def test_every_medicine_has_a_class():
    assert len(groups()) > 60 and all(groups().values())


@given(st.text(max_size=60))
def test_no_text_breaks_the_medicines(text):
    for medicine in read_medicines(text):
        assert text[medicine.start : medicine.end] == medicine.said
