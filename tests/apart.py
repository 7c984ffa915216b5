"""Scripts in processes of their own, which need not import the toolkits anew.

They are forked from a process that has imported mmdet and mmpretrain, but nothing of ours.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from .paths import ROOT

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([f"{__package__}.toolkits"])


def _be(script, arguments, environment, folder):
    """Become the process of a script; what it says goes into two files."""
    # For who wants to kill it with its children.
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        with open(Path(folder, name), "w") as file:
            os.dup2(file.fileno(), stream)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


class Apart:
    """A script that has been started in the root of the checkout, at the head of a session."""

    def __init__(self, script, *arguments, **environment):
        self.words = [str(word) for word in (ROOT / "tools" / script, *arguments)]
        self._folder = tempfile.TemporaryDirectory()
        environment = {**os.environ, **environment}
        arguments = (self.words[0], self.words[1:], environment, self._folder.name)
        self.process = CONTEXT.Process(target=_be, args=arguments)
        self.process.start()

    def wait(self, check=True):
        """Returns the finished process as subprocess does."""
        self.process.join()
        said = [Path(self._folder.name, name).read_text() for name in ("stdout", "stderr")]
        self._folder.cleanup()
        result = subprocess.CompletedProcess(self.words, self.process.exitcode, *said)
        if check and result.returncode:
            raise AssertionError(f"{self.words} failed:\n{result.stdout}\n{result.stderr}")
        return result
