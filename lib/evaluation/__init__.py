"""Controls, metrics, intervals and tests."""
