"""The world of the car: tracks, dynamics, camera, race rules and the simulators that bring them together."""

import hashlib
import os
from pathlib import Path

# numba looks for changes in the file of a kernel only, not in those of the kernels that it calls, and would go on with
# stale machine code after an update. So compiled kernels are kept in a folder that is named after all of the sources.
_SOURCES = sorted(Path(__file__).parent.glob("**/*kernels.py"))
_DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepracer" / f"kernels-{_DIGEST}"
os.environ.setdefault("NUMBA_CACHE_DIR", str(_CACHE))
