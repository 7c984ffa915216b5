"""The messages that are kept from the terminal, and their neighbours, which are not."""

import logging
import subprocess
import sys

from mmengine.logging import MMLogger

from mmhadaptive.engine.quiet import quiet_logger

IMPORTS = """
from mmhadaptive.engine.quiet import quiet_imports
quiet_imports()
import mmdet.apis, mmpretrain.apis, warnings
from mmengine.logging import print_log
print_log("told")
warnings.warn("faster_coco_eval is not installed, what now")
warnings.warn("another warning")
"""


def test_importing_the_toolkits_says_nothing():
    result = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert result.stdout == "told\n"
    assert "faster_coco_eval" not in result.stderr
    assert result.stderr.count("Warning") == 1


def test_a_logger_keeps_what_a_user_can_act_on(caplog):
    logger = MMLogger("quiet", logger_name="quiet")
    quiet_logger(logger)
    handler = caplog.handler
    logger.handlers = [handler]
    with caplog.at_level(logging.WARNING):
        logger.warning('"FileClient" will be deprecated in future.')
        logger.warning("the loss is large")
    assert caplog.messages == ["the loss is large"]
