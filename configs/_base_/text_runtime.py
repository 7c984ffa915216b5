# What a classifier of texts has of mmpretrain, and what mmhadaptive registers for it.
default_scope = "mmpretrain"
custom_imports = dict(
    imports=["mmhadaptive.models.bert", "mmhadaptive.datasets", "mmhadaptive.engine"],
    allow_failed_imports=False,
)
visualizer = dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
