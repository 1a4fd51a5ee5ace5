import json
import math
from dataclasses import replace

import numpy as np
import pytest

from aecli.score.baselines import Embedding
from aecli.score.report import Report, ScoredMap
from aecli.score.scores import Scores
from aecli.score.stability import Stability

CODES = np.zeros((400, 2), np.float32)
SCORES = Scores(
    mse=0.0412,
    psnr=13.851,
    knn_accuracy=0.8765,
    trustworthiness={5: 0.91, 15: 0.92},
    continuity={5: 0.93, 15: 0.94},
    recall=0.5,
    silhouette=0.25,
    centroid_correlation=-0.75,
    fit_seconds=1234.5,
    place_seconds=0.00123,
    voters=5,
)
NOTHING = Scores(
    None,
    None,
    None,
    {5: 0.1, 15: 0.00002},
    {5: 0.3, 15: 0.4},
    0.6,
    None,
    None,
    None,
    None,
    why={"mse": "no decoder", "psnr": "no decoder", "silhouette": "one class"},
)
STABILITY = Stability((3, 4, 5), np.linspace(0, 1, 101, dtype=np.float32), 0.125, 0.6251)


def _report(stability: Stability | None = None, sample: int = 400) -> Report:
    maps = [ScoredMap(Embedding("own", CODES), SCORES), ScoredMap(Embedding("x", CODES), NOTHING)]
    return Report("digits", "test", 400, sample, maps, stability, {"trust": CODES[:, 0]}, 400)


def test_the_table_has_a_column_for_each_map() -> None:
    report = _report()
    assert report.header == ["digits test", "own", "x"]
    assert report.table == [
        ["reconstruction mse", "0.0412", "no decoder"],
        ["psnr, dB", "13.9", "no decoder"],
        ["5-NN accuracy", "0.876", "-"],
        ["trustworthiness, 5 neighbours", "0.910", "0.100"],
        ["trustworthiness, 15 neighbours", "0.920", "2.00e-05"],
        ["continuity, 5 neighbours", "0.930", "0.300"],
        ["continuity, 15 neighbours", "0.940", "0.400"],
        ["of 15 neighbours kept", "0.500", "0.600"],
        ["silhouette of the classes", "0.250", "one class"],
        ["class distances, correlation", "-0.750", "-"],
        ["seconds to fit", "1,234", "-"],
        ["seconds to place", "0.00123", "-"],
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_not_shown(value: float) -> None:
    one = ScoredMap(Embedding("own", CODES), replace(SCORES, silhouette=value))
    table = replace(_report(), maps=[one]).table
    assert ["silhouette of the classes", "-"] in table


def test_the_numbers_are_of_json_types() -> None:
    values = _report(STABILITY).to_json()
    # Keys of other types would come back as text.
    assert json.loads(json.dumps(values)) == values
    assert {name: values[name] for name in ("data", "split", "rows", "sample")} == {
        "data": "digits",
        "split": "test",
        "rows": 400,
        "sample": 400,
    }
    assert list(values["maps"]) == ["own", "x"]
    own = values["maps"]["own"]
    assert own["trustworthiness"] == {"5": 0.91, "15": 0.92}
    assert (own["mse"], own["recall"], own["fit_seconds"]) == (0.0412, 0.5, 1234.5)
    assert values["maps"]["x"]["mse"] is None
    assert values["stability"] == {
        "seeds": [3, 4, 5],
        "disparity": 0.125,
        "neighbors_kept": 0.6251,
        "moved_median": 0.5,
        "moved_90_percent": pytest.approx(0.9),
    }
    assert _report().to_json()["stability"] is None


def test_titles_name_the_scores_that_there_are() -> None:
    own, other = _report().maps
    assert own.title == "own\n5-NN 0.876, trust 0.910, mse 0.0412"
    assert other.title == "x\ntrust 0.100"


def test_a_sample_is_named_where_it_is_not_all_images() -> None:
    note = _report(sample=100).sample_note
    assert note is not None
    assert "are of 100 of the 400 images" in note
    assert _report().sample_note is None


def test_fewer_neighbours_and_voters_are_said() -> None:
    assert _report().few_note is None
    few = replace(SCORES, trustworthiness={5: 0.9, 14: 0.8}, continuity={5: 0.9, 14: 0.8}, voters=3)
    report = replace(_report(), rows=30, maps=[ScoredMap(Embedding("own", CODES), few)])
    assert report.few_note == (
        "5 and 14 neighbours are compared, as there are 30 images: 5 and 15 take 31; "
        "3 codes with a label can vote, not 5"
    )
    names = [row[0] for row in report.table]
    assert {"3-NN accuracy", "trustworthiness, 14 neighbours", "of 14 neighbours kept"} <= {*names}
    # Another map of the same images may have more voters.
    both = replace(report, maps=[*report.maps, *_report().maps[:1]])
    assert ["3-NN accuracy", "0.876", "0.876 (5-NN)"] in both.table


def test_stability_is_one_line() -> None:
    assert _report(STABILITY).stability_note == (
        "over 3 seeds: 63% of the 15 nearest codes are the same; laid over each other, the median "
        "code moves by 0.500 of the map's radius, 90 % by less than 0.900"
    )
    assert _report().stability_note is None


def test_what_is_not_known_is_none() -> None:
    nothing = replace(STABILITY, kept=math.nan)
    assert _report(nothing).stability_note == "over 3 seeds: all codes of a seed are the same"
    assert _report(nothing).to_json()["stability"]["neighbors_kept"] is None


def test_a_line_says_which_images_have_labels() -> None:
    assert _report().labels_note is None
    some, none = replace(_report(), labelled=7).labels_note, replace(_report(), labelled=0)
    assert some is not None
    assert some.endswith("are of the 7 images that have a label")
    assert none.labels_note is not None
    assert none.labels_note.startswith("no image has a label: there are no 5-NN accuracy")
    assert none.to_json()["labelled"] == 0


def test_labels_that_were_used_in_training_are_reported_apart() -> None:
    report = replace(_report(), label_weight=0.25)
    note = report.training_labels_note
    assert note is not None
    assert note.startswith("own: it saw labels in training (--label-weight 0.25), so 5-NN accuracy")
    assert "no discovery" in note
    assert len(note) < 300
    assert report.to_json()["label_weight"] == 0.25
    for weight in (0.0, None):
        report = replace(_report(), label_weight=weight)
        assert report.training_labels_note is None
        assert report.to_json()["label_weight"] == weight
