"""Teaches the text encoder its words before the U-Net listens.

Trained together from random weights, the two wait for each other: backgrounds are learned in
minutes, but a concept is one word in 190 and its trace in the pooled prompt is too faint for the
U-Net to follow (measured: after 24,000 pictures, wrong nouns cost no more than right ones). So the
encoder and the U-Net's own pooling first learn, by themselves and at a tenth of the cost, to say
from the caption alone which drawings it names - a thing in a style - and which latent to expect.
The heads that read this off are thrown away. (When they were asked for the things alone, the style
was lost on the way: pictures in any style were a mean of all three.)
"""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

NAMING_WEIGHT: Final = 0.1
TOKEN_SPREAD: Final = 0.1  # words start apart: CLIP's 0.02 is no more than a position's


@torch.no_grad()
def set_words_apart(text_encoder: CLIPTextModel) -> None:
    """Redraws the token embeddings of an untrained `text_encoder` with a wider spread."""
    nn.init.normal_(text_encoder.get_input_embeddings().weight, std=TOKEN_SPREAD)


@torch.no_grad()
def grow_vocabulary(
    text_encoder: CLIPTextModel, known: CLIPTokenizer, tokenizer: CLIPTokenizer
) -> None:
    """Gives a `text_encoder` trained with `known` the vocabulary of `tokenizer`.

    What both have keeps its embedding; what is new starts as in `set_words_apart`.
    """
    before = text_encoder.get_input_embeddings().weight.detach().clone()
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    set_words_apart(text_encoder)
    weight, old = text_encoder.get_input_embeddings().weight, known.get_vocab()
    for token, index in tokenizer.get_vocab().items():
        if token in old:
            weight[index] = before[old[token]]


def teach_words(
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    draw: Callable[[], tuple[Tensor, Tensor, Tensor]],
    *,
    steps: int,
    lr: float = 1.5e-3,
) -> float:
    """Trains `text_encoder` and `unet.add_embedding` for `steps` batches; returns the last loss.

    `draw` gives token ids [B, 32], the latents [B, 4, h, w] that they describe, and what share of
    the things in each picture every drawing has [B, things x styles].
    """
    tokens, latents, shares = draw()
    width = unet.time_embedding.linear_2.out_features
    head = nn.Sequential(
        nn.SiLU(), nn.Linear(width, 512), nn.SiLU(), nn.Linear(512, latents[0].numel())
    ).to(latents.device)
    naming = nn.Linear(width, shares.shape[1]).to(latents.device)
    learning = [
        *text_encoder.parameters(),
        *unet.add_embedding.parameters(),
        *head.parameters(),
        *naming.parameters(),
    ]
    optimizer = torch.optim.AdamW(learning, lr=lr, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    mean_loss, bar = 1.0, tqdm(range(steps), desc="words", mininterval=10.0)
    for step in bar:
        tokens, latents, shares = draw()
        pooled = unet.add_embedding(text_encoder(tokens).last_hidden_state)
        expected = F.mse_loss(head(pooled), latents.flatten(1))
        loss = expected + NAMING_WEIGHT * F.cross_entropy(naming(pooled), shares)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        mean_loss += (loss.item() - mean_loss) * max(0.02, 1.0 / (step + 1))
        bar.set_postfix(loss=f"{mean_loss:.4f}", refresh=False)
    return mean_loss
