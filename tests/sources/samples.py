"""Where messages that others have sent lie, if anywhere: beside the project, or where `TEST_SAMPLES` says. They are
their senders' and no part of it.
"""

import os
from pathlib import Path
from typing import Final

_BESIDE: Final = Path(__file__).parents[3] / "shared" / "samples"
SAMPLES: Final = Path(os.environ.get("TEST_SAMPLES", _BESIDE))
