"""Checkpoint files: no code runs, damage has one error, another network is refused."""

import io
import os
import pickle
import random
import zipfile
from datetime import date

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from mmhadaptive.engine import check_state_dict
from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.models import HadaptiveNet


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Reach:
    """Tries to get at a function's globals through the getattr that HistoryBuffer needs."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__")


@pytest.mark.parametrize(
    "load",
    [
        load_checkpoint_file,
        CheckpointLoader.load_checkpoint,
        lambda file: load_checkpoint(nn.Linear(1, 1), file),
        lambda file: PretrainedInit(file)(nn.Linear(1, 1)),
        lambda file: PretrainedInit(file, prefix="a.")(nn.Linear(1, 1)),
    ],
)
def test_code_in_a_checkpoint_does_not_run(tmp_path, load):
    file = tmp_path / "evil.pth"
    for attack in (Attack(tmp_path / "owned"), Reach()):
        torch.save(dict(state_dict={}, extra=attack), file)
        with pytest.raises(pickle.UnpicklingError, match=r"evil\.pth was not loaded"):
            load(str(file))
    assert not (tmp_path / "owned").exists()


def test_mmengine_objects_load(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    file = tmp_path / "history.pth"
    torch.save(dict(log=buffer, state_dict=dict(a=torch.ones(2))), file)
    for _ in range(2):
        loaded = load_checkpoint_file(file)
        assert loaded["log"].mean() == 1.5
        assert torch.equal(loaded["state_dict"]["a"], torch.ones(2))
        # What was loaded is saved as what it was.
        torch.save(loaded, file)
    assert b"mmhadaptive" not in file.read_bytes()


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype=">f4"),
        np.zeros((0, 4)),
        np.array(2 + 3j),
        np.array([True, False]),
        np.arange(3, dtype="u1"),
        np.float32(1.5),
        np.dtype(">i8").type(7),
    ],
)
def test_numbers_of_numpy_load(tmp_path, value):
    torch.save(dict(value=value), tmp_path / "numbers.pth")
    loaded = load_checkpoint_file(tmp_path / "numbers.pth")["value"]
    as_numpy = pickle.loads(pickle.dumps(value, 2))
    assert isinstance(loaded, type(as_numpy))
    assert loaded.dtype == as_numpy.dtype
    assert loaded.flags.f_contiguous == as_numpy.flags.f_contiguous
    np.testing.assert_array_equal(loaded, as_numpy)


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.zeros(2, dtype=[("a", "O")])])
def test_objects_in_arrays_are_refused(tmp_path, value):
    torch.save(dict(value=value), tmp_path / "objects.pth")
    with pytest.raises(pickle.UnpicklingError, match=r"objects\.pth was not loaded"):
        load_checkpoint_file(tmp_path / "objects.pth")


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nothing.pth"):
        load_checkpoint_file(tmp_path / "nothing.pth")
    file = tmp_path / "half.pth"
    torch.save(dict(state_dict=dict(a=torch.ones(1000))), file)
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(pickle.UnpicklingError, match=r"half\.pth was not loaded"):
        load_checkpoint_file(file)


def test_what_the_user_allows(tmp_path):
    """Classes of the user's own load; what replaces ours, as mmengine's advice does, does not."""
    log = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(dict(log=log, day=date(2020, 1, 2)), tmp_path / "day.pth")
    torch.save(Reach(), tmp_path / "evil.pth")
    numpy_reconstruct = np.array(1.0).__reduce__()[0]
    allowed = [getattr, date, np.ndarray, np.dtype, type(np.dtype("f8")), numpy_reconstruct]
    with torch.serialization.safe_globals(allowed):
        loaded = load_checkpoint_file(tmp_path / "day.pth")
        with pytest.raises(pickle.UnpicklingError, match="getattr"):
            load_checkpoint_file(tmp_path / "evil.pth")
        assert set(torch.serialization.get_safe_globals()) >= set(allowed)
    assert loaded["day"] == date(2020, 1, 2)
    assert loaded["log"].mean() == 1.5
    with pytest.raises(pickle.UnpicklingError, match="date"):
        load_checkpoint_file(tmp_path / "day.pth")


@pytest.mark.parametrize("spelling", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
@pytest.mark.parametrize("as_zip", [True, False])
def test_either_numpy_wrote_it(tmp_path, spelling, as_zip):
    def respell(data):
        # Names end at a newline in this pickle, so that no length has to follow.
        assert data.count(own) == 2
        return data.replace(own, spelling)

    own = np.array(1.0).__reduce__()[0].__module__.encode()
    file = tmp_path / "history.pth"
    saved = dict(log=HistoryBuffer([1.0, 2.0], [1, 1]), best=np.float64(0.5), a=torch.ones(2))
    torch.save(saved, file, _use_new_zipfile_serialization=as_zip)
    if as_zip:
        with zipfile.ZipFile(file) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, respell(data) if name.endswith("data.pkl") else data)
    else:
        file.write_bytes(respell(file.read_bytes()))
    loaded = load_checkpoint_file(file)
    assert loaded["log"].mean() == 1.5
    assert loaded["best"] == 0.5
    assert torch.equal(loaded["a"], torch.ones(2))


def damaged(data):
    """Cut and changed copies of a file's bytes."""
    draw = random.Random(0)
    for _ in range(100):
        yield data[: draw.randrange(len(data))]
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 4))):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        yield bytes(changed)
    # On this one numpy itself would end the process.
    assert b"NNNJ" in data
    yield data.replace(b"NNNJ", b"qNNJ")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("as_zip", [True, False])
def test_damage_has_one_error(tmp_path, as_zip):
    buffer = io.BytesIO()
    log = HistoryBuffer([1.0, 2.0], [1, 1])
    saved = dict(state_dict=dict(a=torch.ones(3), b=torch.arange(4)), log=log, meta=dict(epoch=1))
    torch.save(saved, buffer, _use_new_zipfile_serialization=as_zip)
    file = tmp_path / "bad.pth"
    refused = 0
    for data in damaged(buffer.getvalue()):
        file.write_bytes(data)
        try:
            load_checkpoint_file(file)
        except pickle.UnpicklingError as error:
            assert str(error).startswith(f"{file} was not loaded: ")  # noqa: PT017
            refused += 1
    assert refused > 100


def test_what_is_no_checkpoint_is_named(tmp_path):
    file = tmp_path / "other.pth"
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    other = (tmp_path / "other.zip").read_bytes()
    for data in (b"", b"\x80", b"\x80\x02.", bytes(range(256)), "Grüße\n".encode(), other):
        file.write_bytes(data)
        with pytest.raises(pickle.UnpicklingError, match=r"other\.pth was not loaded"):
            load_checkpoint_file(file)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint_file(tmp_path)


def test_checkpoint_of_another_network():
    small, medium = HadaptiveNet("s"), HadaptiveNet("m")
    state = small.state_dict()
    check_state_dict(small, state, "s.pth", partial=False)
    check_state_dict(small, {f"module.{k}": v for k, v in state.items()}, "s.pth", partial=False)
    with pytest.raises(ValueError, match=r"s\.pth is a checkpoint of another network") as error:
        check_state_dict(medium, state, "s.pth", partial=False)
    assert "stages." in str(error.value)
    # Fine-tuning may start from a part, but not from nothing.
    check_state_dict(medium, state, "s.pth", partial=True)
    with pytest.raises(ValueError, match="another network"):
        check_state_dict(medium, dict(other=torch.ones(1)), "s.pth", partial=True)
