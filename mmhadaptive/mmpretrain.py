"""Tells mmpretrain the names of the classification configs.

After ``import mmhadaptive.mmpretrain``, ``mmpretrain.get_model('hadaptive_s_cifar100')``, the
inferencers and ``mmpretrain.list_models('hadaptive')`` know them.
"""

from pathlib import Path

from .optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from mmpretrain.apis.model import ModelHub

FOLDER = Path(__file__).parent / ".mim"

for kind in ("classification", "replacement"):
    ModelHub.register_model_index(FOLDER / f"configs/{kind}/metafile.yml", config_prefix=FOLDER)
