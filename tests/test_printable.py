import math

import pytest

from aecli.printable import MOST_CHARACTERS, one_line, plural, printable, significant


def test_text_of_any_script_stays() -> None:
    for text in ("Straße", "猫", "می‌خواهم", "👩‍🔬", "a b"):
        assert printable(text) == text


def test_what_acts_on_a_terminal_becomes_an_escape() -> None:
    assert printable("\x1b[31mred") == "\\x1b[31mred"
    assert printable("a\nb\u202ec\x00") == "a\\nb\\u202ec\\x00"
    # A byte of a name that is not UTF-8, as Python holds it.
    assert printable("\udce4") == "\\xe4"
    assert printable("\ud800").encode() == b"\\ud800"


def test_a_long_name_is_cut_in_its_middle_and_the_rest_of_a_message_stays() -> None:
    name = "x" * 4_000
    line = one_line(f"cannot read /data/{name}.npy: No such file or directory; name another")
    assert len(line) == MOST_CHARACTERS
    assert line.startswith("cannot read /data/xxx")
    assert line.endswith(".npy: No such file or directory; name another")


def test_a_message_of_many_short_words_loses_its_end() -> None:
    line = one_line("word " * 1_000)
    assert len(line) == MOST_CHARACTERS
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.04123, "0.0412"),
        (0.09996, "0.100"),
        (0.9996, "1.00"),
        (13.851, "13.9"),
        (-0.75, "-0.750"),
        (999.6, "1,000"),
        (1234.5, "1,234"),
        (0.000123, "0.000123"),
        (0.0000999, "9.99e-05"),
        (3.27e-10, "3.27e-10"),
        (-2e-9, "-2.00e-09"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_numbers_have_three_digits_that_mean_something(value: float, text: str) -> None:
    assert significant(value) == text


def test_one_thing_is_not_several() -> None:
    assert [plural(n, "image") for n in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
    assert [plural(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
