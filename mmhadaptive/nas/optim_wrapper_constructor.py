"""Two optimizers: one of the weights, one of the logits of the candidates."""

from __future__ import annotations

from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from mmhadaptive.engine.unwrap import unwrap
from mmhadaptive.io.user_errors import UserValueError

from .choice import choices

NAMES = ("weights", "alphas")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SearchOptimWrapperConstructor:
    """Build ``OptimWrapperDict(weights=..., alphas=...)``.

    Args:
        optim_wrapper_cfg: ``dict(weights=..., alphas=..., type=...)``: for each of the two the
            config of an optimizer wrapper, ``type`` for those that state none. That of the weights
            may have a ``paramwise_cfg``.

    Raises:
        ValueError: One of the two is missing, there is another key, or the model has no choice.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        configs = dict(optim_wrapper_cfg)
        self.type = configs.pop("type", "OptimWrapper")
        if set(configs) != set(NAMES) or paramwise_cfg is not None:
            found = [*configs, *(["paramwise_cfg"] if paramwise_cfg is not None else [])]
            raise UserValueError(f"optim_wrapper of a search has weights and alphas, got {found}")
        self.configs = {name: dict(configs[name]) for name in NAMES}

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        model = unwrap(model)
        alphas = [choice.alpha for choice in choices(model)]
        if not alphas:
            raise UserValueError(f"{type(model).__name__} has no choice: nothing is to be searched")
        for config in self.configs.values():
            config.setdefault("type", self.type)
        weights = build_optim_wrapper(model, self.configs["weights"])
        searched = {id(alpha) for alpha in alphas}
        for group in weights.optimizer.param_groups:
            group["params"] = [each for each in group["params"] if id(each) not in searched]
        groups = weights.optimizer.param_groups
        groups[:] = [group for group in groups if group["params"]]
        config = self.configs["alphas"]
        optimizer = OPTIMIZERS.build(dict(config["optimizer"], params=alphas))
        return OptimWrapperDict(
            weights=weights, alphas=OPTIM_WRAPPERS.build(dict(config, optimizer=optimizer))
        )
