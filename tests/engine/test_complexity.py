"""The counter agrees with Table 7 and counts one MAC an element of a product."""

import pytest

from mmhadaptive.engine.complexity import complexity
from mmhadaptive.layers import AdaptiveCrossHadamard


def test_an_ach_layer_by_hand():
    layer = AdaptiveCrossHadamard(in_channels=8, num_selected=4).eval()
    pointwise, scores, products = 8 * 8 * 30, 8 * 5, 6 * 30
    assert complexity(layer, (8, 5, 6))["macs"] == pointwise + scores + products


@pytest.mark.parametrize(("arch", "parameters", "macs"), [("s", 2.102, 131.1)])
def test_table_7(run_tool, arch, parameters, macs):
    out = run_tool("get_flops.py", f"configs/classification/hadaptive_{arch}_cifar100.py").stdout
    counts = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.endswith(" M")}
    assert float(counts["parameters"]) == pytest.approx(parameters, rel=0.001)
    assert float(counts["macs"]) == pytest.approx(macs, rel=0.001)
