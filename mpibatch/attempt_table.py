"""ATTEMPT records as NumPy sees them: how ranks handle many at a time. `attempts.py` needs no NumPy."""

import numpy as np

from mpibatch.attempts import ATTEMPT_FIELDS

ATTEMPT_DTYPE = np.dtype(ATTEMPT_FIELDS)
