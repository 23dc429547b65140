"""The blinded reader study: images to judge, the page that asks, the answers, their export."""
