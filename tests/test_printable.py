from aecli.printable import MOST_CHARACTERS, one_line, printable


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
