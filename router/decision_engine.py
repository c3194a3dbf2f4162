"""RAG, fine-tuning or both for a use case: `twofold decide` under its own name.

python -m router.decision_engine analyze --knowledge-changes weekly --needs-citations true \
    --style-requirements high --training-data "200 examples" --latency-requirement 2s \
    --monthly-queries 100000
"""

from __future__ import annotations

import sys


def main() -> int:
    """The exit status of `twofold decide` with the same arguments."""
    from serving.cli.main import main as twofold

    return twofold(["decide", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
