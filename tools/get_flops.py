"""Print the parameters, MACs and activations of a classification config."""

import argparse

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmhadaptive.engine.complexity import complexity


class Logits(torch.nn.Module):
    """A classifier as a function from an image to its logits, which is what is counted."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, x):
        if hasattr(self.classifier, "head"):
            return self.classifier.head(self.classifier.extract_feat(x))
        return self.classifier(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a classification config")
    parser.add_argument("--shape", type=int, default=224, help="side of the image (%(default)s)")
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    # Networks that train with parallel branches are published with these merged.
    deploy = getattr(getattr(model, "backbone", None), "switch_to_deploy", None)
    if deploy is not None:
        deploy()
    counts = complexity(Logits(model), (3, args.shape, args.shape))
    print(f"input        3 x {args.shape} x {args.shape}")
    for name, count in counts.items():
        print(f"{name:12} {count / 1e6:.3f} M")


if __name__ == "__main__":
    main()
