"""`python -m tracker.training`: the same as `dmb train`.

On several GPUs or machines: torchrun --nproc-per-node N -m tracker.training PLAN ...
"""

import sys

from tracker.cli.train import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
