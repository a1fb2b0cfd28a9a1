"""Do the figures of a demo hold? `python tests/check_demo.py runs/demo/report.json [least [least without rehearsal]]`

The bounds are those of `demo --fast` with the default seed; seeds differ by a few points.
"""

import json
import sys
from pathlib import Path


def problems(report: dict, least: float = 0.9, plain: float = 0.4) -> list[str]:
    """What does not hold, a line each; `least` and `plain` are the least exact match with and without rehearsal."""
    scores, preference = report["heldout_exact_match"], report["preference"]
    checks = {
        f"held-out exact match after SFT is {scores['sft']['all']:.3f}, below {least}": scores["sft"]["all"] >= least,
        f"SFT without rehearsal reaches {scores['sft_plain']['all']:.3f}, below {plain}":
            scores["sft_plain"]["all"] >= plain,
        f"SFT without pretraining reaches {scores['scratch']['all']:.3f}": scores["scratch"]["all"] <= 0.10,
        f"SFT without pretraining fits only {report['scratch_fits_own_pairs']:.3f} of its pairs":
            report["scratch_fits_own_pairs"] >= 0.9,
        f"the base model already answers {scores['base']['all']:.3f}": scores["base"]["all"] <= 0.2,
        f"LoRA reaches {report['lora']['exact_match']['all']:.3f}": report["lora"]["exact_match"]["all"] >= least - 0.05,
        f"LoRA has {report['lora']['share']:.3f} of the parameters": report["lora"]["share"] <= 0.07,
        f"stage 3 leaves {preference['win_rate']['after']:.3f} full sentences": preference["win_rate"]["after"] >= 0.9,
        f"peak memory is {report['peak_rss_bytes'] or 0:,} bytes": (report["peak_rss_bytes"] or 0) <= 1.5 * 2**30,
    }  # fmt: skip
    return [message for message, holds in checks.items() if not holds]


if __name__ == "__main__":
    found = problems(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), *map(float, sys.argv[2:]))
    print("\n".join(found) or "all figures hold")
    sys.exit(bool(found))
