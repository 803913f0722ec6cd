"""Features laid out in two dimensions."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.explain.measure.result import Result

Method: TypeAlias = Literal["pca", "umap", "tsne"]
"""Principal components, UMAP (needs umap-learn) or t-SNE (needs scikit-learn)."""


@dataclass(frozen=True, eq=False)
class Projection(Result):
    """Features in two dimensions.

    `coordinates` are (N, 2). `explained` is the fraction of the variance that each of the two principal components
    explains, None for the other methods, whose axes have no meaning.
    """

    method: str
    coordinates: NDArray[np.float64]
    explained: tuple[float, float] | None


def project(features: ArrayLike, method: Method = "pca", *, seed: int = 0) -> Projection:
    """Features in two dimensions.

    Principal components are the directions of the largest variance: X - mean = U S V^T, coordinates (X - mean) V, the
    largest element of each direction positive.

    Args:
        features: (N, features), at least 3 samples and 2 features.
        method: "pca", built in; "umap" or "tsne" if their packages are installed.
        seed: for UMAP and t-SNE.

    Raises:
        DataError: there is no such method, its package is not installed, or the features span no plane.

    Pearson: On lines and planes of closest fit, 1901. McInnes, Healy, Melville: UMAP, 2018. van der Maaten, Hinton:
    Visualizing data using t-SNE, 2008.

    >>> project([[0, 0], [2, 0], [4, 0], [2, 1]]).coordinates[:, 0].tolist()
    [-2.0, 0.0, 2.0, 0.0]
    """
    values = np.asarray(features, np.float64)
    if values.ndim != 2 or values.shape[0] < 3 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise DataError(
            f"features have the shape {values.shape}; a plane needs finite numbers (N, features), at least 3 samples "
            "and 2 features"
        )
    if np.ptp(values, axis=0).max() == 0:
        raise DataError(f"all {len(values)} samples have the same features, so there is nothing to lay out")
    if method == "pca":
        return _principal_components(values)
    if method == "umap":
        if len(values) < 5:
            raise DataError(f"UMAP needs at least 5 samples, but there are {len(values)}")
        umap = _optional("umap", "umap-learn", "UMAP")
        neighbours = min(15, len(values) - 1)
        reducer = umap.UMAP(n_components=2, n_neighbors=neighbours, random_state=seed, n_jobs=1)
        return Projection("UMAP", _plane(reducer, values), None)
    if method == "tsne":
        manifold = _optional("sklearn.manifold", "scikit-learn", "t-SNE")
        perplexity = min(30.0, (len(values) - 1) / 3)
        reducer = manifold.TSNE(n_components=2, random_state=seed, init="pca", perplexity=perplexity)
        return Projection("t-SNE", _plane(reducer, values), None)
    raise DataError(f'there is no method "{method}"; choose "pca", "umap" or "tsne"')


def _principal_components(values: NDArray[np.float64]) -> Projection:
    centred = values - values.mean(axis=0)
    # The triangular factor has the same right singular vectors, and no more rows than features.
    _, spread, directions = np.linalg.svd(np.linalg.qr(centred, mode="r"), full_matrices=False)
    plane = directions[:2]
    plane = plane * np.sign(np.take_along_axis(plane, np.abs(plane).argmax(axis=1)[:, None], axis=1))
    shares = spread**2 / (spread**2).sum()
    return Projection("principal component", centred @ plane.T, (float(shares[0]), float(shares[1])))


def _optional(module: str, package: str, what: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise DataError(
            f'{what} needs {package}: pip install {package}; or use method="pca", which is built in'
        ) from None


def _plane(reducer: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(reducer.fit_transform(values), np.float64)
