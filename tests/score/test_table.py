import csv
import io

import numpy as np

from aecli.score.table import PointTable

TABLE = PointTable(
    4,
    ["a,b.png", "c.png", 'd"\udce4.png', "e.png"],
    np.array([0, 1, -1, 1]),
    np.array([0, 0, 1, 1]),
    ("cat", "dog, big"),
    {
        "trust": np.array([0.2, 1, 0.1, 0.3], np.float32),
        "error": np.array([0.1, 0.5, 0.00001, 0.5], np.float32),
        "moved": np.array([1, 2, 3, 4], np.float32),
    },
    np.array([-1, 0, -1, -1]),
)


def test_a_row_has_what_is_known_of_a_code() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.to_csv().decode("utf-8", "surrogateescape"))))
    assert list(rows[0]) == [
        "row",
        "file",
        "label",
        "predicted",
        "trust",
        "error",
        "moved",
        "duplicate_of",
    ]
    assert [row["file"] for row in rows] == TABLE.files
    assert [row["label"] for row in rows] == ["cat", "dog, big", "", "dog, big"]
    assert [row["predicted"] for row in rows] == ["cat", "cat", "dog, big", "dog, big"]
    assert [np.float32(row["error"]) for row in rows] == TABLE.points["error"].tolist()
    assert [row["duplicate_of"] for row in rows] == ["", "0", "", ""]
    assert rows[0]["trust"] == "0.2"


def test_the_worst_come_first() -> None:
    # As large an error: the label that is not the predicted one counts after the trust.
    assert TABLE.worst(10) == [3, 1, 0, 2]
    assert TABLE.worst(1) == [3]
    text = TABLE.worst_as_text(2)
    assert text[0] == ["3", "e.png", "dog, big", "dog, big", "0.300", "0.500", "4.00", "-"]


def test_without_errors_the_least_trust_is_worst() -> None:
    table = PointTable(3, None, None, None, None, {"trust": np.array([0.5, 0.1, 0.9], np.float32)})
    assert table.worst(3) == [1, 0, 2]
    assert table.columns == ["row", "file", "label", "predicted", "trust", "error"]
    assert table.row(1)["file"] is table.row(1)["error"] is None
    wrong = PointTable(3, None, np.array([4, 4, 5]), np.array([4, 5, 5]), None, {})
    assert wrong.worst(2) == [1, 0]
    assert wrong.row(1)["label"] == 4
