"""EMBEDDER → A CHEAPER ONE: files in data order: teacher, tokens, static, shallow, distill."""
