"""The error of operators that this package does not provide."""

BUILD_MMCV = (
    "build mmcv with its operators: `python tools/dev/setup_env.py --mmcv-operators` in a "
    "checkout of mmhadaptive, or `pip install --force-reinstall --no-deps --no-cache-dir "
    "--no-build-isolation --no-binary onedl-mmcv onedl-mmcv` beside torch, setuptools, wheel, "
    "ninja and a C++ compiler"
)


def missing(operator: str) -> NotImplementedError:
    """Says that ``operator`` is missing and how to get it."""
    return NotImplementedError(
        f"this mmcv has no {operator}: it was installed without compiled operators, and "
        f"mmhadaptive provides only nms, soft_nms, nms_match, the focal losses and RoIAlign (avg) "
        f"in their place. To use it, {BUILD_MMCV}"
    )
