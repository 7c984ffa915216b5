"""What each of two processes runs; it imports little, since it starts anew."""

import json

import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmhadaptive.engine.launch import leave_process_group
from mmhadaptive.nas import Choice, choices
from mmhadaptive.nas.search_train_loop import search_step


class ToyModel(BaseModel):
    """Regression by two linear maps of three candidates each."""

    def __init__(self):
        super().__init__()
        for name in ("first", "second"):
            setattr(self, name, Choice({letter: nn.Linear(4, 4) for letter in "abc"}))

    def forward(self, x, y, mode="loss"):
        return dict(loss=(self.second(self.first(x)) - y).square().mean())


def search_as_rank(rank, folder):
    """Take steps on batches and with random numbers of the rank's own."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    torch.manual_seed(0)
    model = MMDistributedDataParallel(
        ToyModel().train(), broadcast_buffers=False, find_unused_parameters=True
    )
    one = dict(optimizer=dict(type="AdamW", lr=0.01))
    cfg = dict(constructor="SearchOptimWrapperConstructor", weights=dict(one), alphas=dict(one))
    wrappers = build_optim_wrapper(model, cfg)
    weights = [p for group in wrappers["weights"].param_groups for p in group["params"]]
    torch.manual_seed(rank)
    seen = []
    for _ in range(10):
        batches = [dict(x=torch.randn(8, 4), y=torch.randn(8, 4)) for _ in range(2)]
        logs = search_step(model, wrappers, batches, 1.0, weights)
        seen.append(
            dict(
                drawn=[choice.index for choice in choices(model)],
                parameters=[p.detach().flatten().tolist() for p in model.parameters()],
                loss=logs["loss"].item(),
            )
        )
    (folder / f"rank{rank}.json").write_text(json.dumps(seen))
    del model, wrappers, weights
    leave_process_group()
