"""What is made of finished results, and for whom: claims, site, cards, clinic, class, readers."""
