"""One small encoder with a head for each question: its training, its export and its use.

`text` writes a post down, `heads` lists the questions, `onnx` answers them with ONNX Runtime.
All else makes such a model: `base` and `vocabulary` start from pre-trained weights, `mix`, `drafts`
and `batches` feed `network`, which `train` fits, `export` shrinks and `evaluate` measures.
"""
