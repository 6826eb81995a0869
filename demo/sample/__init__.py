"""A tiny dataset that relforge draws itself: pictures, COCO boxes and captions, from a seed."""

from relforge.demo.sample.write import SampleFiles, write

__all__ = ["SampleFiles", "write"]
