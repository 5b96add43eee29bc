"""One small encoder with a head for each question: its training, its export and its use.

`text` writes a post down, `heads` lists the questions, `onnx` answers them with ONNX Runtime.
All else makes such a model: `base` and `vocabulary` start from pre-trained weights, `mix`, `drafts`
and `batches` feed `network`, which `train` fits, `export` shrinks and `evaluate` measures.
"""

import os

# From 1.29 on, ONNX Runtime sends events to its makers and leaves a file in the temporary folder,
# unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
