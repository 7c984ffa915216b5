"""Where things are that tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
# Real data, beside the checkout.
SHARED = ROOT.parent / "shared" / "data"
