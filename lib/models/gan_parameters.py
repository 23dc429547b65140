"""Parameters of the GANs of tissue, and of the classifiers that learn from their images."""

from __future__ import annotations

from pydantic import Field, model_validator

from engine.parameters import Parameters


class GanParameters(Parameters):
    """One setting for every kind, so that kinds are compared and not their settings.

    Adam with betas 0.5 and 0.999 at 2e-4 in batches of 128 as Radford et al. 2016. A batch holds as
    many images of each class.
    """

    gan_filters: int = Field(64, ge=4, le=256)  # channels at half of the image's side
    gan_latent: int = Field(16, ge=1, le=1024)  # latent numbers of each place of 8 px
    gan_steps: int = Field(20_000, ge=2)  # updates of the generator
    gan_batch: int = Field(128, ge=4, le=4096)  # images
    gan_rate: float = Field(2e-4, gt=0.0, lt=1.0)  # of the generator
    gan_rate_ratio: float = Field(1.0, gt=0.0, le=100.0)  # the discriminator's over the generator's
    # What real images are to be called, of cross-entropy; below 1: one-sided label smoothing.
    gan_real_label: float = Field(1.0, gt=0.5, le=1.0)
    gan_critic_steps: int = Field(5, ge=1, le=20)  # of wgan_gp's critic for each of its generator


class AugmentationParameters(GanParameters):
    """Classifiers of tiles that learn from few images, beside GANs that learn from the same."""

    augment_counts: str = "25,50,100,200"  # real images of a class, with commas between them
    augment_synthetic: float = Field(1.0, gt=0.0, le=100.0)  # a GAN's images for each real one
    augment_seeds: int = Field(3, ge=1, le=100)  # classifiers of every kind
    augment_steps: int = Field(400, ge=2)  # whatever the number of images
    augment_batch: int = Field(32, ge=4, le=4096)
    augment_rate: float = Field(1e-3, gt=0.0, lt=1.0)  # of the new layer; a tenth for the others

    @property
    def real_counts(self) -> tuple[int, ...]:
        """``augment_counts`` as numbers, the smallest first."""
        return tuple(sorted(int(count) for count in self.augment_counts.split(",")))

    @model_validator(mode="after")
    def _counts_are_numbers(self) -> AugmentationParameters:
        parts = [part.strip() for part in self.augment_counts.split(",")]
        if not all(part.isdecimal() and int(part) > 1 for part in parts):
            raise ValueError(
                f"augment_counts must be numbers above 1 with commas between them, got "
                f"{self.augment_counts!r}"
            )
        if len(set(map(int, parts))) < len(parts):
            raise ValueError(f"augment_counts has a number twice: {self.augment_counts!r}")
        return self
