#!/usr/bin/env bash
# diffusers 0.42.1 with transformers 5.23.0: the T5 of a single file, as `T5EncoderModel` itself saves
# its weights, comes without the table of words that its encoder reads.
#
# Guess: `shared.weight` and `encoder.embed_tokens.weight` are one tensor, and a file has it once, so
# filling the one fills the other. Seen: the loader fills an empty model name by name; the two are
# apart afterwards, the second has no data (device "meta"), and moving the model is a
# NotImplementedError.
#
# So single files are given both names, and the model's weights are tied anew:
# `worker/pipelines/single_files.py`.
#
# Installs pinned public packages into a temporary folder and runs them without the product; fails
# when the behaviour is another one. (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes
# the small build of torch.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 numpy==2.4.6 diffusers==0.42.1 transformers==5.23.0 accelerate==1.15.0
cd "$folder"
cat > t5.py <<'PYTHON'
from diffusers.loaders.single_file_utils import create_diffusers_t5_model_from_checkpoint
from safetensors.torch import load_file
from transformers import T5Config, T5EncoderModel

TABLE = ("shared.weight", "encoder.embed_tokens.weight")
config = T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
T5EncoderModel(config).save_pretrained("t5/text_encoder_3")
weights = load_file("t5/text_encoder_3/model.safetensors")
print("saved:", ", ".join(name for name in TABLE if name in weights))
# As Stable Diffusion 3's single files name it.
file = {f"text_encoders.t5xxl.transformer.{name}": tensor for name, tensor in weights.items()}
model = create_diffusers_t5_model_from_checkpoint(
    T5EncoderModel, file, subfolder="text_encoder_3", config="t5"
)
named = dict(model.named_parameters(remove_duplicate=False))
print("loaded:", ", ".join(f"{name} on {named[name].device}" for name in TABLE))
try:
    model.to("cpu")
    print("moved")
except NotImplementedError as error:
    print("moved: NotImplementedError")
PYTHON
seen=$("$folder/venv/bin/python" -W ignore t5.py 2> /dev/null)
echo "$seen"
[ "$seen" = "saved: shared.weight
loaded: shared.weight on cpu, encoder.embed_tokens.weight on meta
moved: NotImplementedError" ]
