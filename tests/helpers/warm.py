"""Importing this imports what a run imports: jobs, tables, figures, the page. Nothing is done with it here."""

import jinja2  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import scipy.stats  # noqa: F401
import seaborn  # noqa: F401
import sklearn.datasets
import sklearn.model_selection  # noqa: F401
import torchvision.transforms  # noqa: F401
from diffusers import AutoencoderKL, DiTTransformer2DModel, UNet2DConditionModel  # noqa: F401

import harness.cli
import harness.diffusion.prior
import harness.execution.progress
import harness.reporters.figures.accuracy
import harness.reporters.page.page
import harness.training.teacher  # noqa: F401
