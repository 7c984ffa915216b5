"""Messages of the libraries on which the user of a script can't act do not reach the terminal."""

from __future__ import annotations

import logging
import re
import warnings

import mmengine.logging
from mmengine.logging import MMLogger

_LOGGED = (
    # Of mmengine's own CheckpointHook, whatever the config says.
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    # Of mmdet's inferencer, which finds what it looks for.
    'Failed to search registry with scope "mmdet" in the "function" registry',
)
_WARNED = (
    # Of mmdet's import; its metric says it again, as an error, where it is asked for.
    "faster_coco_eval is not installed",
    # Of mmdet's inferencer, which returns its pictures.
    "Failed to add <class 'mmengine.visualization.vis_backend.LocalVisBackend'>",
    # Of every Hsigmoid, whose arguments mmdet and mmpretrain give.
    "In MMCV v1.4.4, we modified the default value of args",
    # Of the anchor points of mmdet's heads.
    "torch.meshgrid: in an upcoming release",
    # Of predictions that reach beyond the picture.
    "Warning: The bbox is out of bounds",
    "Warning: The polygon is out of bounds",
)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_LOGGED)


def quiet_imports() -> None:
    """To be called by a script before it imports mmdet or mmpretrain."""
    for message in _WARNED:
        warnings.filterwarnings("ignore", message=re.escape(message))
    print_log = mmengine.logging.print_log

    def print_by_level(msg, logger=None, level: int = logging.INFO) -> None:
        # mmengine prints what has no logger whatever its level; of data sets of a service that is
        # not installed, mmdet and mmpretrain tell at the level of debugging.
        if logger is not None or level > logging.DEBUG:
            print_log(msg, logger, level)

    mmengine.logging.print_log = print_by_level


def quiet_logger(logger: MMLogger) -> None:
    """To be called by a script for the logger that a Runner or an inferencer writes to."""
    logger.addFilter(_is_news)
