"""EMBEDDER → A CHEAPER ONE: files in data order: tokens, static, distill."""
