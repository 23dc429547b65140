"""How a computation is run, kept and found again; it knows nothing of images or networks."""

import os

# Threads of one kernel wait for each other by spinning, by GNU OpenMP's own choice for milliseconds.
# Beside a browser or another run the one that is waited for then gets no processor, since the one
# that waits has it: ten times the time beside three busy processes, against four with this, and no
# less speed alone. The library reads it when torch loads it, which nothing does before this line.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
