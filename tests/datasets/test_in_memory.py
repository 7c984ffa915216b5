"""Images in memory, and samplers that begin anywhere."""

import json
from itertools import chain

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmhadaptive.datasets import InMemoryDataset, ResumableSampler, whole_batch
from mmhadaptive.engine.launch import leave_process_group

from ..apart import free_port, run_ranks

COUNT = 23


def loader_of(dataset, sampler, batch_size=4):
    return DataLoader(dataset, batch_size, sampler=sampler, collate_fn=whole_batch)


def test_a_batch_holds_the_images_asked_for(few_images, in_memory):
    file = np.load(few_images / "train.npz")
    (batch,) = loader_of(in_memory, [7, 0, 7, 22])
    expected = file["images"][[7, 0, 7, 22]].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(batch["images"].numpy(), expected)
    assert batch["images"].dtype == torch.uint8
    assert batch["labels"].tolist() == [7, 0, 7, 22]
    assert len(in_memory.metainfo["classes"]) == 100


def test_a_dataset_without_arrays_is_refused(tmp_path):
    (tmp_path / "class").mkdir()
    cv2.imwrite(str(tmp_path / "class" / "image.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(TypeError, match="CustomDataset does not hold"), _scope():
        InMemoryDataset(dict(type="CustomDataset", ann_file="", data_prefix=str(tmp_path)))


def _scope():
    return DefaultScope.overwrite_default_scope("mmpretrain")


def test_the_sampler_begins_in_the_middle(in_memory):
    sampler = ResumableSampler(in_memory, seed=3)
    loader = loader_of(in_memory, sampler)
    sampler.set_epoch(2)
    whole = [batch["labels"].tolist() for batch in loader]
    assert sorted(chain(*whole)) == list(range(COUNT))
    sampler.start = 3 * 4
    assert [batch["labels"].tolist() for batch in loader] == whole[3:]
    assert [batch["labels"].tolist() for batch in loader] == whole
    sampler.set_epoch(3)
    assert [batch["labels"].tolist() for batch in loader] != whole


def sample_as_rank(rank, folder, port):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    dataset = InMemoryDataset(dict(type="CIFAR100Files", data_root=str(folder)), device="cpu")
    sampler = ResumableSampler(dataset, seed=1, round_up=False)
    loader = loader_of(dataset, sampler)
    labels = [batch["labels"].tolist() for batch in loader]
    sampler.start = 4
    rest = [batch["labels"].tolist() for batch in loader]
    (folder / f"rank{rank}.json").write_text(json.dumps([labels, rest]))
    leave_process_group()


def test_two_ranks_see_disjoint_halves(few_images):
    run_ranks(sample_as_rank, few_images, free_port())
    seen = []
    for rank in range(2):
        labels, rest = json.loads((few_images / f"rank{rank}.json").read_text())
        assert rest == labels[1:]
        seen.append(list(chain(*labels)))
    assert not set(seen[0]) & set(seen[1])
    assert sorted(seen[0] + seen[1]) == list(range(COUNT))
    assert abs(len(seen[0]) - len(seen[1])) <= 1
