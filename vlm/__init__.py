"""Vision-language models as a tool: an image and a question in, a kept answer out."""
