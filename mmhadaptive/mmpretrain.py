"""Tells mmpretrain the names of the classification configs.

After ``import mmhadaptive.mmpretrain``, ``mmpretrain.get_model('hadaptive_s_cifar100')``, the
inferencers and ``mmpretrain.list_models('hadaptive')`` know them, and the weights that come with
the package.
"""

from .io.model_index import FOLDER, models, weights_path
from .optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from mmpretrain.apis.model import ModelHub

for kind in ("classification", "replacement"):
    ModelHub.register_model_index(FOLDER / f"configs/{kind}/metafile.yml", config_prefix=FOLDER)
for _, entry in models():
    if entry["Weights"] and ModelHub.has(entry["Name"]):
        ModelHub._models_dict[entry["Name"]].weights = weights_path(entry)
