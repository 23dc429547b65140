"""How a computation is run, kept and found again; it knows nothing of images or networks."""

import os

# Threads of a computation wait for each other by spinning, by GNU OpenMP's own choice for
# milliseconds. Beside a browser or another run the one that is waited for then gets no processor,
# since the one that waits has it: small convolutions took ten times as long beside three busy
# processes, four times with this, and no longer alone. The library reads it when torch loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
