"""What a file or folder of weights is, read from headers alone: the standard library only.

`headers.py` reads safetensors and GGUF, `signs.py` is the one table of what tells one architecture
or kind from another, `adapters.py` reads LoRAs and their like, `folders.py` folders in diffusers
format, and `recognise.py` puts a sentence to it. Whether this version can draw with it,
`worker.pipelines.inspect` says.
"""
