"""The notebooks as a class uses them, and what checks the answers."""
