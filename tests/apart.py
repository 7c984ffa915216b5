"""Scripts in processes of their own, which need not import the toolkits anew.

They are forked from a process that has imported mmdet and mmpretrain, but nothing of ours.
"""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from multiprocessing.connection import Client, Listener
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
        self.words = [str(word) for word in (ROOT / script, *arguments)]
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


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_ranks(function, *arguments):
    """Call ``function(rank, *arguments)`` in two processes."""
    from torch.multiprocessing import start_processes

    start_processes(function, arguments, nprocs=2, start_method="forkserver")


def run_tool_on_ranks(script, *arguments):
    """Run a tool as two processes of one training, as torchrun would start them."""
    address = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE="2")
    arguments = [*arguments, "--launcher", "pytorch"]
    ranks = [
        Apart(script, *arguments, RANK=str(rank), LOCAL_RANK=str(rank), **address)
        for rank in range(2)
    ]
    for rank in ranks:
        rank.wait()


# Sends its words and its environment, and repeats what comes back.
PYTHON = """#!{python}
import os, sys
words = [word for word in sys.argv[1:] if word != "-u"]
if not words[0].endswith(".py"):
    os.execv({python!r}, [{python!r}, *words])
from multiprocessing.connection import Client
with Client({address!r}) as connection:
    connection.send((words, dict(os.environ)))
    status, out, error = connection.recv()
sys.stdout.write(out)
sys.stderr.write(error)
sys.exit(status)
"""


@contextmanager
def python_apart(folder):
    """A program to call in place of Python, for scripts and for torchrun that call tools."""
    program = Path(folder, "python_apart")
    with Listener(family="AF_UNIX") as listener:
        program.write_text(PYTHON.format(python=sys.executable, address=listener.address))
        program.chmod(0o755)

        def serve(connection, words, environment):
            with connection:
                result = Apart(*words, **environment).wait(check=False)
                connection.send((result.returncode, result.stdout, result.stderr))

        def listen():
            threads = []
            while True:
                connection = listener.accept()
                words, environment = connection.recv()
                if not words:
                    break
                threads.append(
                    threading.Thread(target=serve, args=(connection, words, environment))
                )
                threads[-1].start()
            for thread in threads:
                thread.join()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield program
        finally:
            with Client(listener.address) as connection:
                connection.send(([], {}))
            thread.join()
