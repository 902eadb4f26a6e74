"""Where everything of a folder is that is being opened: images, labels, project file. Nothing is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from unet_gui.core.errors import ImageError, ProjectError
from unet_gui.core.images import LABEL_FOLDERS, list_images
from unet_gui.core.layout import STATE_FOLDER, LabelNames, Layout, find_layout, nested_pairs, plain_layout, with_labels
from unet_gui.core.project_file import ProjectFile

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Places:
    """Where everything of a folder is.

    Attributes
    ----------
    root : pathlib.Path
        The folder that belongs together: around ``image`` and ``label``, or the opened one.
    image_root : pathlib.Path
        Where images are.
    label_roots : list of pathlib.Path
        Where labels are; they are written to the first.
    usual_labels : tuple of pathlib.Path
        Where labels may be without the project file saying so.
    given : bool
        The folder of labels was named by whoever opens the folder.
    state_dir : pathlib.Path
        Where everything else is kept; it need not exist yet.
    project : ProjectFile
    names : LabelNames
        What the label of each image is called.
    images : list of str
        Image files relative to `image_root`, sorted naturally.
    read_only : str
        Why nothing can be saved; "" when it can.
    notes : list of str
        Plain sentences for the person.
    """

    root: Path
    image_root: Path
    label_roots: list[Path]
    usual_labels: tuple[Path, ...]
    given: bool
    state_dir: Path
    project: ProjectFile
    names: LabelNames
    images: list[str]
    read_only: str
    notes: list[str]


def find_places(
    folder: AnyPath, labels: AnyPath | None = None, state: AnyPath | None = None, ignore_project: bool = False
) -> Places:
    """Find out where everything of a folder is; the parameters are those of `Dataset.open`.

    Raises
    ------
    ProjectError
        The folder is missing, not readable or without pictures, its project file cannot be understood, or labels would
        be among the images.
    """
    layout, state_dir, project = _project_of(Path(os.path.abspath(folder)), state, ignore_project)
    usual = layout.label_root
    if labels is not None:
        layout = with_labels(layout, Path(os.path.abspath(labels)))
    elif project.labels:
        layout = with_labels(layout, project.inside(layout.root, project.labels))
    images = _images(layout)
    usually = layout.image_root == layout.root and layout.label_root == usual
    pairs = _pairs(layout.root, images, project) if usually else {}
    if pairs:
        layout = layout._replace(label_root=layout.root)
    elif os.path.realpath(layout.label_root) == os.path.realpath(layout.image_root):
        text = "holds the images: labels among them would be taken for images, or written over them."
        raise ProjectError(text, layout.label_root, "Choose another folder for labels.")
    roots, read_only, notes = _label_roots(layout, state_dir, other_state=state is not None)
    return Places(
        layout.root,
        layout.image_root,
        label_roots=roots,
        usual_labels=(usual, layout.root, state_dir / "labels"),
        given=labels is not None,
        state_dir=state_dir,
        project=project,
        names=LabelNames(images, pairs),
        images=images,
        read_only=read_only,
        notes=notes,
    )


def _project_of(folder: Path, state: AnyPath | None, ignore: bool) -> tuple[Layout, Path, ProjectFile]:
    """Return where images and labels usually are, the folder of the project file, and that file."""
    try:
        layout = find_layout(folder)
    except OSError as error:
        raise _folder_error(folder, error) from error
    state_dir = Path(os.path.abspath(state)) if state is not None else layout.root / STATE_FOLDER
    project = ProjectFile.empty(state_dir) if ignore else ProjectFile.read(state_dir)
    if project.whole and layout.image_root != layout.root:
        layout = plain_layout(folder)
        if state is None and layout.root / STATE_FOLDER != state_dir:
            state_dir = layout.root / STATE_FOLDER
            project = ProjectFile.read(state_dir)
    return layout, state_dir, project


def _images(layout: Layout) -> list[str]:
    """Return the images; none is a label in a folder among them that is called masks, say."""
    root, labels = layout.image_root, layout.label_root
    try:
        names = list_images(root)
    except ImageError as error:
        raise ProjectError(error.message, error.path, error.hint, error.details) from error
    usual = labels.parent == root and labels.name.lower() in LABEL_FOLDERS  # not listed anyway
    if not usual and labels != root and labels.is_relative_to(root):
        below = labels.relative_to(root).as_posix() + "/"
        names = [name for name in names if not name.startswith(below)]
    if not names:
        raise ProjectError("holds no pictures that can be opened.", layout.root, "Choose the folder they are in.")
    return names


def _pairs(root: Path, images: list[str], project: ProjectFile) -> dict[str, str]:
    """Return the folders of images further down that have a folder of labels beside them."""
    pairs = nested_pairs(root, images)
    if project.whole:  # the labels at the top are those of all pictures
        return {place: label for place, label in pairs.items() if "/" in place}
    return pairs


def _label_roots(layout: Layout, state_dir: Path, *, other_state: bool) -> tuple[list[Path], str, list[str]]:
    """Return the folders of labels, why nothing can be saved ("" when it can), and what to tell about that."""
    labels_problem, state_problem = _no_write(layout.label_root), _no_write(state_dir)
    roots, notes = [layout.label_root, *_first_labels(layout)], []
    if labels_problem and other_state and not state_problem:
        roots.insert(0, state_dir / "labels")
        labels_problem = ""
        notes.append(f"The folder is read-only: labels are saved in {roots[0]}.")
    read_only = labels_problem or state_problem
    return roots, read_only, [*notes, read_only] if read_only else notes


def _first_labels(layout: Layout) -> list[Path]:
    """Return where labels lie that were made when there was no folder for them yet: ``labels/images/a.png``."""
    name = layout.image_root.name
    labels = layout.label_root / name
    if layout.image_root == layout.root or (layout.image_root / name).is_dir() or not labels.is_dir():
        return []
    return [labels]


def _folder_error(path: Path, error: OSError) -> ProjectError:
    if isinstance(error, PermissionError):
        return ProjectError("may not be read by you.", path, "Ask its owner for permission.", str(error))
    if path.exists():
        return ProjectError("is a file, not a folder.", path, "Open the folder it is in.", str(error))
    return ProjectError("is not there.", path, "It may have been moved, renamed or deleted.", str(error))


def _no_write(folder: Path) -> str:
    """Return why nothing can be written to a folder that may not exist yet, "" when it can."""
    place = folder
    while not os.path.exists(place) and place != place.parent:  # False also where nobody may look
        place = place.parent
    if os.access(place, os.W_OK | os.X_OK):
        return ""
    return f"The folder {place} is read-only: nothing can be saved there. Name another place to work on it."
