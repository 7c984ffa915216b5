"""What the process imports that others are forked from: nothing of ours."""

import contextlib
import io
import warnings

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")
    import mmdet.apis  # noqa: F401
    import mmpretrain.apis  # noqa: F401
