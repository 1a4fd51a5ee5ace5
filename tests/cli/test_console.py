import json
import math
from pathlib import Path

import pytest

from aecli.cli.console import Reporter, error, print_facts, print_table
from aecli.run.states import EpochMetrics

METRICS = EpochMetrics(3, {"reconstruction": 0.0312345, "any term": 12.5}, 0.04, 1e-3, 1234.5, 2.0)


def test_results_go_to_stdout_and_all_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    reporter.say("said")
    reporter.facts([("name", "value")])
    reporter.result([Path("a"), Path("b")], {"not": "printed"})
    captured = capsys.readouterr()
    assert captured.out == "a\nb\n"
    assert captured.err.startswith("said\n")
    assert captured.err.split()[1:] == ["name", "value"]


def test_quiet_leaves_results_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(quiet=True)
    reporter.say("said")
    reporter.facts([("name", "value")])
    with reporter.epochs(5, 0) as report, reporter.bar("reading", 3) as advance:
        report(METRICS, True)
        advance(1)
    reporter.result([Path("a")], {})
    error("wrong")
    captured = capsys.readouterr()
    assert captured.out == "a\n"
    assert captured.err == "aecli: wrong\n"


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(json=True).result([Path("a")], {"value": 1})
    assert json.loads(capsys.readouterr().out) == {"value": 1}


def test_an_epoch_is_a_line_with_every_term_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter().epochs(5, 0) as report:
        report(METRICS, False)
        report(METRICS, True)
    line = "epoch 3/5  reconstruction 0.0312  any term 12.5  validation 0.0400  1,234 images/s\n"
    assert capsys.readouterr().err == f"{line}{line}saved epoch 3\n"


def test_tables_are_parted_by_tabs_where_no_terminal_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("layer", "input"), [("1", "5x64"), ("2", "5x16")])
    print_facts([("name", "a value")])
    assert capsys.readouterr().out == "layer\tinput\n1\t5x64\n2\t5x16\nname\ta value\n"


def test_json_is_valid_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"a": math.nan, "b": [math.inf, {"c": (-math.inf, 1.5)}], "d": "\udce4", "e\udce4": 1}
    Reporter(json=True).result([], values)
    printed = capsys.readouterr().out
    expected = {"a": None, "b": [None, {"c": [None, 1.5]}], "d": "\\xe4", "e\\xe4": 1}
    assert json.loads(printed) == expected


def test_names_do_not_act_on_a_terminal_or_a_table(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    name = "a\tb\nc\x1b[31m[red]\udce4"
    escaped = b"a\\tb\\nc\\x1b[31m[red]\\xe4"
    Reporter().say(name)
    Reporter().facts([(name, name)])
    print_table((name,), [(name,), (name,)])
    captured = capfdbinary.readouterr()
    assert captured.out == escaped + b"\n" + escaped + b"\n" + escaped + b"\n"
    assert captured.err.count(escaped) >= 2
    assert b"\x1b" not in captured.err


def test_a_result_in_a_pipe_is_the_very_name(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Reporter().result([Path("\u00e4\x1b\udcff")], {})
    assert capfdbinary.readouterr().out == b"\xc3\xa4\x1b\xff\n"


def test_a_speed_that_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter().epochs(5, 0) as report:
        report(EpochMetrics(3, {"reconstruction": 1.0}, 2.0, 1e-3, 0.0, 0.0), False)
    assert capsys.readouterr().err == "epoch 3/5  reconstruction 1.00  validation 2.00\n"
