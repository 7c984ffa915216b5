"""The log of the choice, of a training in pieces."""

import json

import pytest

from mmhadaptive.analysis.selection_log import LoggedChoice, read_selection_log
from mmhadaptive.io.user_errors import UserError, UserValueError


def line(step, tau, entropy=1.5):
    layer = dict(channels=8, tau=tau, entropy=entropy, information=0.5)
    return json.dumps(dict(step=step, epoch=1, layers=dict(ach=layer)))


def write(folder, piece, text):
    path = folder / piece / "vis_data" / "selection.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_pieces_are_joined(tmp_path):
    # The first was killed while it wrote a line.
    write(tmp_path, "1", f"{line(10, 4.0)}\n{line(20, 3.9)}\n{line(30, 3.8)[:40]}")
    write(tmp_path, "2", f"{line(20, 3.7)}\n{line(30, 3.6, None)}\n")
    assert read_selection_log(tmp_path) == dict(
        ach=[
            LoggedChoice(10, 1, 8, 4.0, 1.5, 0.5),
            LoggedChoice(20, 1, 8, 3.7, 1.5, 0.5),
            LoggedChoice(30, 1, 8, 3.6, None, 0.5),
        ]
    )


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match="AdaptTemperatureHook"):
        read_selection_log(tmp_path)
    write(tmp_path, "1", f"{line(10, 4.0)[:30]}\n{line(20, 3.9)}\n")
    with pytest.raises(UserValueError, match=r"selection\.jsonl, line 1"):
        read_selection_log(tmp_path)
