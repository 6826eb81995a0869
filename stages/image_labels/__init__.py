"""Labels of whole images from what their captions say."""
