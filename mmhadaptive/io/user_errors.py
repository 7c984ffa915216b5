"""What a user did wrong is one message on the terminal; a defect keeps its traceback."""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# TypeErrors of a call with keys that its function does not know, or without those it needs.
_WRONG_KEYS = re.compile(r"unexpected keyword argument|missing \d+ required")


class UserError(Exception):
    """What the user can mend. The message says what is wrong, with file, key or value."""


class UserValueError(UserError, ValueError):
    """A value that does not fit."""


def message_of(error: BaseException) -> str:
    """The words of an error; those of a KeyError stand in quotes otherwise."""
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error)


@contextmanager
def blame_config() -> Iterator[None]:
    """Within, values and keys that do not fit are those of the config.

    ValueErrors, KeyErrors, ImportErrors, SyntaxErrors and calls with wrong keys become a
    :class:`UserError` of the same words. Others are let through.
    """
    try:
        yield
    except UserError:
        raise
    except (ValueError, KeyError, ImportError, SyntaxError) as error:
        raise UserError(message_of(error)) from error
    except TypeError as error:
        if not _WRONG_KEYS.search(str(error)):
            raise
        raise UserError(str(error)) from error


def run_script(main: Callable[[], None]) -> None:
    """Run the main function of a script.

    A :class:`UserError`, an OSError, a file that does not unpickle and a loss that is no number end
    it with their message on stderr and the exit status 2, as argparse ends it;
    ``MMHADAPTIVE_TRACEBACK=1`` shows where they come from. Everything else is a defect, and raised
    on.
    """
    try:
        main()
    except (UserError, OSError, pickle.UnpicklingError, FloatingPointError) as error:
        if os.environ.get("MMHADAPTIVE_TRACEBACK") == "1":
            raise
        print(f"{os.path.basename(sys.argv[0])}: error: {message_of(error)}", file=sys.stderr)
        sys.exit(2)
