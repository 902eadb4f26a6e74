"""All figures by which a prediction is compared with the truth, in one place to import from."""

from unet_gui.core.evaluate import Evaluation, PairScore, evaluate_folders
from unet_gui.core.overlap import ObjectScores, confusion, dice, iou, match_objects, mean_of, objects_of, pixel_error
from unet_gui.core.regions import (
    RegionScores,
    grow,
    partition_scores,
    rand_f,
    region_scores,
    regions_of,
    thin_net_class,
    variation_of_information,
)

__all__ = [
    "Evaluation",
    "ObjectScores",
    "PairScore",
    "RegionScores",
    "confusion",
    "dice",
    "evaluate_folders",
    "grow",
    "iou",
    "match_objects",
    "mean_of",
    "objects_of",
    "partition_scores",
    "pixel_error",
    "rand_f",
    "region_scores",
    "regions_of",
    "thin_net_class",
    "variation_of_information",
]
