"""The studies: what notebooks and parameters each has, one module each."""
