"""Vision-language models as a tool: a picture and a question in, a kept answer out."""
