"""A clinic's own folder of images: looked over, unpacked, translated."""
