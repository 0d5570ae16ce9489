"""Boosted trees, fitted by LightGBM with the settings that people change."""

from typing import Any

import lightgbm
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.output_statistics import Trees
from training.features import Floats


class TreeSettings(BaseModel):
    """How many trees of which size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(ge=1, description="Trees.")
    leaves: int = Field(ge=2, description="Of each.")
    fewest: int = Field(100, ge=1, description="Windows in a leaf.")
    learning_rate: float = Field(0.05, gt=0)
    shrinkage: float = Field(10.0, ge=0, description="L2 penalty on what a leaf says.")
    predictor_share: float = Field(0.3, gt=0, le=1, description="Drawn for each tree.")
    window_share: float = Field(0.5, gt=0, le=1, description="Drawn for each tree.")
    drawn_cuts: bool = Field(
        False,
        description="Of each predictor one cut, drawn by chance, is tried: trees learn less by "
        "heart (Geurts, Ernst & Wehenkel 2006, Mach. Learn. 63:3).",
    )

    def fit(self, objective: str, table: Floats, labels: Floats, weight: Floats) -> Trees:
        """Trees that read a table (n, F), from labels (n,) where known; neutral where none is.

        Weights (n,) are brought to a mean of 1, beside which `shrinkage` counts.
        """
        known = ~np.isnan(labels)
        if not known.any():
            known, labels = ~known, np.ones_like(labels) * (objective == "gamma")
        weight = weight[known] / weight[known].mean()
        parameters: dict[str, Any] = {
            "objective": objective,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.fewest,
            "learning_rate": self.learning_rate,
            "lambda_l2": self.shrinkage,
            "feature_fraction": self.predictor_share,
            "bagging_fraction": self.window_share,
            "bagging_freq": 1,
            "extra_trees": self.drawn_cuts,
            "seed": 0,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": torch.get_num_threads(),
            "verbose": -1,
        }
        data = lightgbm.Dataset(table[known], labels[known], weight=weight)
        return lightgbm.train(parameters, data, self.rounds)
