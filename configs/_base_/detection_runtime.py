# What a detector's runtime has of mmdet, and what mmhadaptive registers for it.
default_scope = "mmdet"
custom_imports = dict(
    imports=[
        "mmhadaptive.models.backbones",
        "mmhadaptive.models.dense_heads",
        "mmhadaptive.models.necks",
        "mmhadaptive.engine",
        "mmhadaptive.evaluation",
        "mmhadaptive.transforms",
    ],
    allow_failed_imports=False,
)
visualizer = dict(
    type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer"
)
# For default_hooks of the recipe.
visualization = dict(type="DetVisualizationHook")
custom_hooks = [dict(type="NumClassCheckHook")]
