"""The recipe that made the starter model: data, training and evaluation, one step per file.

Order of reading: `concepts` (what it can draw), `icons` (the sources), `scenes` and `captions`
(pictures with words), `diffusion` (the forward process), `train_vae`, `train`, `evaluate`.
"""
