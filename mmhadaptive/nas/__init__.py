"""Architecture search by GDAS: importing this package registers what its configs name."""

from .choice import Choice, choices, draw_choices
from .optim_wrapper_constructor import SearchOptimWrapperConstructor
from .search_result_hook import SearchResultHook
from .search_train_loop import SearchTrainLoop
from .supernet import HadaptiveSupernet
from .temperature_schedule import temperature

__all__ = [
    "Choice",
    "HadaptiveSupernet",
    "SearchOptimWrapperConstructor",
    "SearchResultHook",
    "SearchTrainLoop",
    "choices",
    "draw_choices",
    "temperature",
]
