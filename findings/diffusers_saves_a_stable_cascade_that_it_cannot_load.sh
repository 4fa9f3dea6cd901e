#!/usr/bin/env bash
# diffusers 0.42.1: a Stable Cascade that it has just saved cannot be loaded again, and neither can one
# as it is published.
#
# Guess: what `save_pretrained` writes, `from_pretrained` reads. Seen: the VAE's class, PaellaVQModel,
# was moved to `diffusers.pipelines.deprecated.wuerstchen`. Published folders name it as of `wuerstchen`,
# which is no folder of `diffusers.pipelines` any more and counts as an unknown library, and
# `save_pretrained` names it as of `diffusers`, which has no such class: a ValueError each.
#
# So both names are put back where the loader looks: `worker/pipelines/classes.py`.
#
# Installs pinned public packages into a temporary folder and runs them without the product; fails
# when the behaviour is another one. (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes
# the small build of torch.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 numpy==2.4.6 diffusers==0.42.1 transformers==5.23.0
cd "$folder"
cat > cascade.py <<'PYTHON'
import json
from pathlib import Path

from diffusers import DDPMWuerstchenScheduler, DiffusionPipeline, StableCascadeDecoderPipeline
from diffusers import StableCascadeUNet
from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel

plain = ("SDCascadeResBlock", "SDCascadeTimestepBlock")
decoder = StableCascadeUNet(
    in_channels=4,
    out_channels=4,
    conditioning_dim=32,
    block_out_channels=(16, 32),
    num_attention_heads=(-1, -1),
    down_num_layers_per_block=(1, 1),
    up_num_layers_per_block=(1, 1),
    block_types_per_layer=(plain, plain),
    clip_text_pooled_in_channels=32,
)
vqgan = PaellaVQModel(bottleneck_blocks=1, embed_dim=16, num_vq_embeddings=8)
pipe = StableCascadeDecoderPipeline(
    decoder=decoder, tokenizer=None, text_encoder=None, scheduler=DDPMWuerstchenScheduler(), vqgan=vqgan
)
pipe.save_pretrained("saved")
index = Path("saved/model_index.json")
told = json.loads(index.read_text())


def loaded(library):
    index.write_text(json.dumps(told | {"vqgan": [library, "PaellaVQModel"]}))
    try:
        DiffusionPipeline.from_pretrained("saved", tokenizer=None, text_encoder=None)
        return "loads"
    except Exception as error:
        return type(error).__name__


print(f"saved as of {told['vqgan'][0]}: {loaded(told['vqgan'][0])}; published: {loaded('wuerstchen')}")
PYTHON
said=$("$folder/venv/bin/python" -W ignore cascade.py 2>/dev/null)
echo "the VAE of a Stable Cascade, $said"
[ "$said" = "saved as of diffusers: ValueError; published: ValueError" ]
