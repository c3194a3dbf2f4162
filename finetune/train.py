"""Train an adapter: `python -m finetune.train --config FILE`, which is `twofold train`.

On several GPUs: `accelerate launch --config_file finetune/presets/fsdp-qlora.yaml -m
finetune.train --config FILE`, see docs/TRAINING.md.
"""

from __future__ import annotations

import sys

from serving.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
