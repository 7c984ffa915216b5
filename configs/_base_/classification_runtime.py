# Runtime of the classification configs: hooks, logging, and what mmhadaptive registers.
_base_ = "default_runtime.py"
default_scope = "mmpretrain"
custom_imports = dict(
    _delete_=True,
    imports=[
        "mmhadaptive.models.backbones",
        "mmhadaptive.models.data_preprocessors",
        "mmhadaptive.datasets",
        "mmhadaptive.engine",
        "mmhadaptive.engine.hooks.cls_visualization_hook",
    ],
    allow_failed_imports=False,
)

default_hooks = dict(
    visualization=dict(_delete_=True, type="ClsVisualizationHook", enable=False, interval=100),
)
# That of the detection configs is mmdet's.
custom_hooks = []
visualizer = dict(
    _delete_=True, type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")]
)
