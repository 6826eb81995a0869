"""The bundled trainer: targets, recipes, evaluators."""
