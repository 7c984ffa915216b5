"""Operators for an mmcv that was installed without its compiled module ``mmcv._ext``.

``extension`` has what mmcv looks for in that module; ``stand_in`` puts a file there that points to
it, and takes it away again. Where mmcv has its compiled module, nothing of this is imported.
"""
