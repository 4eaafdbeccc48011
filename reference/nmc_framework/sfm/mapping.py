"""From correspondences to a rig: COLMAP's incremental mapping, and a last robust adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nmc_framework.sfm.features import Report
from nmc_framework.sfm.matching import pixel_limit
from nmc_framework.sfm.pooling import PooledFeatures
from nmc_framework.sfm.sfm_options import SfmOptions

if TYPE_CHECKING:
    import pycolmap

#: Small images give few correspondences, and a rig has few cameras: less than COLMAP asks for.
_FEWEST_MATCHES, _FEWEST_TO_BEGIN, _FEWEST_TO_PLACE, _SMALLEST_MODEL = 10, 30, 12, 2
#: A pose may at first be off by so many times what a correspondence may be.
_POSE_SLACK = 3.0
#: Pixels at which the robust loss of the last adjustment turns from squared to logarithmic.
_LOSS_SCALE = 0.5
#: Iterations of global and local adjustments where a rough result is enough, and the growth from
#: which on all is adjusted again.
_QUICK, _QUICK_GROWTH = (12, 8), 1.4


def reconstruct(
    database: Path,
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    *,
    known: bool = False,
    report: Report | None = None,
) -> pycolmap.Reconstruction | None:
    """Map a database that :func:`~nmc_framework.sfm.database.write_database` wrote.

    Incremental structure from motion (Schönberger and Frahm, "Structure-from-Motion Revisited",
    CVPR 2016), one thread and a seed, so that the result can be had again.

    Parameters
    ----------
    database
        The file.
    cameras
        What the images of the database are, in their order.
    options
        ``refine`` and ``seed`` matter here.
    known
        The intrinsics are known and stay as they are.
    report
        Called with ``"cameras"``, the number of cameras placed and their number.

    Returns
    -------
    pycolmap.Reconstruction or None
        The part with most cameras, points coloured; None where nothing could be placed.
    """
    import pycolmap

    settings = settings_of(cameras, options, known=known)
    manager = pycolmap.ReconstructionManager()
    with pycolmap.Database.open(database) as opened:
        pipeline = pycolmap.IncrementalPipeline(settings, opened, manager)
        if report:
            _follow(pipeline, manager, len(cameras), report)
        pipeline.run()
    found = [manager.get(index) for index in range(manager.size())]
    if not found:
        return None
    best = max(found, key=lambda part: (part.num_reg_images(), part.num_points3D()))
    finish(best, cameras, known=known, refine=options.refine)
    return best


def finish(
    part: pycolmap.Reconstruction,
    cameras: Sequence[PooledFeatures],
    *,
    known: bool,
    refine: bool,
) -> None:
    """End with a robust adjustment where asked to, and give points their errors and colours.

    Parameters
    ----------
    part
        Changed in place.
    cameras
        In the order of its images' numbers.
    known
        The intrinsics stay as they are.
    refine
        Adjust cameras and points together under a robust loss.
    """
    if refine:
        _refine(part, fixed=known)
    part.update_point_3d_errors()
    _colour(part, cameras)


def map_once(
    database: Path,
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    *,
    known: bool,
    seed: int,
    begin: tuple[int, int],
) -> pycolmap.Reconstruction | None:
    """Map a database from a pair of images, with few rounds of adjustment: enough to compare.

    Parameters
    ----------
    database, cameras, options, known
        As for :func:`reconstruct`.
    seed
        Of everything random.
    begin
        Numbers of the two images to begin with.
    """
    import pycolmap

    settings = settings_of(cameras, replace(options, seed=seed), known=known)
    settings.init_image_id1, settings.init_image_id2 = begin
    settings.multiple_models = False
    settings.ba_global_max_refinements = settings.ba_local_max_refinements = 1
    settings.ba_global_max_num_iterations, settings.ba_local_max_num_iterations = _QUICK
    settings.ba_global_frames_ratio = settings.ba_global_points_ratio = _QUICK_GROWTH
    manager = pycolmap.ReconstructionManager()
    with pycolmap.Database.open(database) as opened:
        pycolmap.IncrementalPipeline(settings, opened, manager).run()
    found = [manager.get(index) for index in range(manager.size())]
    return max(found, key=lambda part: part.num_reg_images()) if found else None


def settings_of(
    cameras: Sequence[PooledFeatures], options: SfmOptions, *, known: bool
) -> pycolmap.IncrementalPipelineOptions:
    """Return COLMAP's settings for a rig: limits by the pictures' size, one thread, one seed."""
    import pycolmap

    limit = pixel_limit([camera.size for camera in cameras])
    settings = pycolmap.IncrementalPipelineOptions()
    settings.num_threads = 1
    settings.extract_colors = False
    settings.min_num_matches = _FEWEST_MATCHES
    settings.min_model_size = _SMALLEST_MODEL
    settings.ba_refine_focal_length = settings.ba_refine_extra_params = not known
    mapper, triangulation = settings.mapper, settings.triangulation
    for part in (settings, mapper, triangulation):
        part.random_seed = options.seed
    mapper.num_threads = 1
    mapper.abs_pose_refine_focal_length = mapper.abs_pose_refine_extra_params = not known
    mapper.init_min_num_inliers = _FEWEST_TO_BEGIN
    mapper.abs_pose_min_num_inliers = _FEWEST_TO_PLACE
    mapper.init_max_error = mapper.filter_max_reproj_error = limit
    mapper.abs_pose_max_error = _POSE_SLACK * limit
    triangulation.merge_max_reproj_error = triangulation.complete_max_reproj_error = limit
    return settings


def _follow(
    pipeline: pycolmap.IncrementalPipeline,
    manager: pycolmap.ReconstructionManager,
    total: int,
    report: Report,
) -> None:
    import pycolmap

    def placed() -> None:
        parts = [manager.get(index).num_reg_images() for index in range(manager.size())]
        report("cameras", max(parts, default=0), total)

    events = pycolmap.IncrementalPipelineCallback
    for event in (events.INITIAL_IMAGE_PAIR_REG_CALLBACK, events.NEXT_IMAGE_REG_CALLBACK):
        pipeline.add_callback(event.value, placed)


def _refine(part: pycolmap.Reconstruction, *, fixed: bool) -> None:
    import pycolmap

    settings = pycolmap.BundleAdjustmentOptions()
    settings.refine_focal_length = settings.refine_extra_params = not fixed
    settings.refine_principal_point = False
    settings.print_summary = False
    settings.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    settings.ceres.loss_function_scale = _LOSS_SCALE
    settings.ceres.solver_options.num_threads = 1
    config = pycolmap.BundleAdjustmentConfig()
    for image in part.images.values():
        if image.has_pose:
            config.add_image(image.image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(settings, config, part).solve()


def _colour(part: pycolmap.Reconstruction, cameras: Sequence[PooledFeatures]) -> None:
    """Give every point the mean colour of the pixels in which it was found."""
    colours = [camera.colours for camera in cameras]
    for point in part.points3D.values():
        seen = [colours[e.image_id - 1][e.point2D_idx] for e in point.track.elements]
        point.color = np.rint(np.mean(seen, axis=0)).astype(np.uint8)
