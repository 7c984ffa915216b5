"""Pictures of results: functions that take data and return a figure or an image.

Importing this package registers nothing; the hooks that draw in a run are those of the engine.
"""

from .accuracy_latency import draw_accuracy_latency
from .augmented_samples import draw_classification_samples, draw_detection_samples
from .class_activation import draw_class_activation
from .compared_curves import draw_compared_curves
from .complexity_curves import draw_complexity
from .confusion_matrix import draw_confusion_matrix
from .contact_sheet import draw_contact_sheet
from .detections import draw_detections
from .operator_speed import draw_speedups, draw_strategies
from .png import to_png
from .search_curves import draw_confidence, draw_entropy
from .selection_curves import draw_selection_curves
from .selection_maps import SelectionMap, draw_selection_maps
from .training_curves import draw_training

__all__ = [
    "SelectionMap",
    "draw_accuracy_latency",
    "draw_class_activation",
    "draw_classification_samples",
    "draw_compared_curves",
    "draw_complexity",
    "draw_confidence",
    "draw_confusion_matrix",
    "draw_contact_sheet",
    "draw_detection_samples",
    "draw_detections",
    "draw_entropy",
    "draw_selection_curves",
    "draw_selection_maps",
    "draw_speedups",
    "draw_strategies",
    "draw_training",
    "to_png",
]
