# What a classifier's runtime has of mmpretrain, and what mmhadaptive registers for it.
default_scope = "mmpretrain"
custom_imports = dict(
    imports=[
        "mmhadaptive.models.backbones",
        "mmhadaptive.models.replacement",
        "mmhadaptive.models.variants",
        "mmhadaptive.models.data_preprocessors",
        "mmhadaptive.datasets",
        "mmhadaptive.engine",
        "mmhadaptive.engine.hooks.cls_visualization_hook",
    ],
    allow_failed_imports=False,
)
visualizer = dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
# For default_hooks of the recipe.
visualization = dict(type="ClsVisualizationHook", enable=False, interval=100)
custom_hooks = []
