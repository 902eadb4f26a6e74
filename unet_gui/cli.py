"""The command line. Everything heavy is imported inside the command that needs it.

Exit codes: 0 all done, 1 some images failed (each named, the rest done), 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_gui import __version__, interrupt
from unet_gui.cli_exchange import add_export, add_import, must_have_labels
from unet_gui.cli_progress import Progress, talk
from unet_gui.cli_segment import name_classes, segment_items
from unet_gui.core.errors import MEMORY_HINT, UserError, is_out_of_memory
from unet_gui.core.text import in_words

if TYPE_CHECKING:
    from unet_gui.core.project import Dataset

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
UNHEARD = 141
"""Nobody reads what is told any more, so the work ended there: what a shell says of a program that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Without a command the window opens."""
    with interrupt.listening():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    _fill_streams()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end the work
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0] not in COMMANDS and words[0] not in ("-h", "--help", "--version")):
        if len(words) > 1 and not words[0].startswith("-") and not os.path.exists(words[0]):
            near = difflib.get_close_matches(words[0].lower(), COMMANDS, 1)
            hint = f"Did you mean {near[0]}?" if near else "unet-gui --help lists the commands."
            talk(f"unet-gui: There is no command or folder called “{words[0]}”. {hint}")
            return WRONG_USE
        words.insert(0, "window")
    try:
        arguments = _parser().parse_args(words)
    except SystemExit as stop:  # argparse ends the program itself; a caller of main() wants a number
        return stop.code if isinstance(stop.code, int) else WRONG_USE
    try:
        return int(arguments.run(arguments))
    except UserError as error:
        talk(f"unet-gui: {error}")
        if error.details and getattr(arguments, "verbose", False):
            talk(error.details)
        return WRONG_USE
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        talk(f"unet-gui: There is not enough memory for this. {MEMORY_HINT}")
        return WRONG_USE
    except KeyboardInterrupt:
        talk("stopped")
        return INTERRUPTED
    except OSError as error:
        return _in_words(error, getattr(arguments, "verbose", False))


def _fill_streams() -> None:
    """Let what is said go nowhere where there is nobody to hear it: closed (``2>&-``), or a system without console.

    The numbers 0 to 2 are taken then, too: else a mask that is written could have one, and be talked into.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115 - to the end


def _in_words(error: OSError, verbose: bool) -> int:
    """Say that a folder may not be looked into, or that a disk is full."""
    if isinstance(error, BrokenPipeError):  # the reader of our output went away, e.g. `| head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - or the interpreter complains once more when it exits
        return UNHEARD
    place = f"{error.filename}: " if error.filename else ""
    talk(f"unet-gui: {place}{error.strerror or error}.")
    if verbose:
        traceback.print_exc()
    return WRONG_USE


# --- commands -------------------------------------------------------------------------------------------------------


def _window(arguments: argparse.Namespace) -> int:
    if not _has_display() and not os.environ.get(
        "QT_QPA_PLATFORM"
    ):  # Qt would end the program with words about plugins
        from unet_gui.core.errors import UserError

        raise UserError(
            "There is no display to open the window on.",
            hint="Far away over ssh: ssh -X. Everything but painting works without: unet-gui --help.",
        )
    from unet_gui.app.application import run

    interrupt.at_once()
    return run(arguments.folder)


def _demo(arguments: argparse.Namespace) -> int:
    if not arguments.no_window and _has_display():
        from unet_gui.app.application import run

        interrupt.at_once()
        return run(arguments.folder, demo=True)
    from unet_gui.engine.demo import Scores, demo

    folder = Path(arguments.folder or "unet-gui-demo")
    for event in Progress(arguments.json).follow(demo(folder, minutes=arguments.minutes, device=arguments.device)):
        if isinstance(event, Scores) and not arguments.json:
            print(event.text)
    return DONE


def _has_display() -> bool:
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def _open_dataset(arguments: argparse.Namespace) -> Dataset:
    from unet_gui.core.project import Dataset

    must_have_labels(arguments.labels)
    dataset = Dataset.open(arguments.folder, labels=arguments.labels)
    if arguments.unlabelled is not None:
        dataset.set_encoding(dataset.encoding.with_unlabelled(arguments.unlabelled))
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ.get("RANK", "0") == "0":
        for note in dataset.notes:  # said once, however many processes of torchrun train together
            talk(note)
    return dataset


TRAINING_CHOICES: dict[str, tuple[type, str, str]] = {
    "width": (int, "N", "channels at the finest scale"),
    "depth": (int, "N", "how often the picture is halved"),
    "stem": (int, "1|2|4", "side of the blocks of pixels the network works on"),
    "crop": (int, "PIXELS", "side of the crops"),
    "batch": (int, "N", "crops a step"),
    "learning_rate": (float, "X", "highest learning rate"),
    "channels": (int, "1-4", "channels of the image the network takes"),
    "normalisation": (str, "image|dataset", "measure grey values for each image or once for all"),
    "symmetries": (
        str,
        "none|mirror|flips|turns",
        "mirror pictures left to right, either way, turn them too",
    ),
    "inpaint": (float, "X", "weight of guessing hidden parts of the pictures, beside the loss; 0 = do not"),
    "first_weights": (str, "drawn|random", "what to begin with: learned from drawn pictures, or random"),
    "patience": (int, "N", "validations without a better score until it stops; 0 = never"),
    "precision": (str, "auto|fp32|bf16", "numbers to compute with (default: what the device is fast with)"),
}
"""Fields of `TrainConfig` that are chosen by themselves: type, placeholder, help."""


def _train(arguments: argparse.Namespace) -> int:
    from unet_gui.engine.data import labelled_images
    from unet_gui.engine.recipe import TrainConfig
    from unet_gui.engine.train import train

    dataset = _open_dataset(arguments)
    if not labelled_images(dataset):
        raise UserError(
            "No image has a label yet.",
            dataset.root,
            f"Looked for were files like {dataset.label_path(dataset.images[0])}. If labels are in another folder, "
            "name it with --labels; if they are called otherwise, unet-gui import takes them over; "
            "or paint some in the window.",
        )
    config = TrainConfig(
        recipe=arguments.recipe,
        minutes=arguments.minutes,
        epochs=arguments.epochs,
        val=arguments.val,
        only=arguments.only,
        score=arguments.score,
        seed=arguments.seed,
        device=arguments.device,
        resume=arguments.resume,
        init=arguments.init,
        **{k: v for k in TRAINING_CHOICES if (v := getattr(arguments, k)) is not None},
    )
    for event in Progress(arguments.json).follow(train(dataset, arguments.out, config)):
        if event.kind == "train_finished" and not arguments.json:
            finished: Any = event
            name = {"dice": "Dice", "rand": "Rand F"}.get(finished.score_name, finished.score_name)
            score = "not validated" if finished.score != finished.score else f"validation {name} {finished.score:.4f}"
            print(f"{finished.path}\t{score}")
    return DONE


def _segment(arguments: argparse.Namespace) -> int:
    from unet_gui.engine.recipe import SegmentConfig

    if arguments.tile is not None and arguments.tile < 64:
        raise UserError(f"Tiles of {arguments.tile} pixels would take hours.", hint="Use at least 64.")
    items = segment_items(arguments)
    config = SegmentConfig(
        model=arguments.model,
        device=arguments.device,
        encoding=_output_encoding(arguments),
        tile=arguments.tile,
        tta=arguments.tta,
        float_maps=arguments.float,
        overwrite=arguments.overwrite,
    )
    if arguments.scheduler:
        from unet_gui.engine.cluster import segment_on_cluster

        events = segment_on_cluster(items, config, arguments.scheduler)
    else:
        from unet_gui.engine.segment import segment

        events = segment(items, config)
    done = skipped = failures = 0
    for event in Progress(arguments.json).follow(events):
        if event.kind == "segment_started" and config.encoding == "index":
            name_classes(arguments.model, arguments.out)
        if event.kind == "segment_finished":
            finished: Any = event
            done, skipped, failures = finished.done, finished.skipped, finished.failed
    if not arguments.json:
        print(f"{done} segmented, {skipped} already up to date, {failures} failed: {arguments.out}")
    return SOME_FAILED if failures else DONE


def _output_encoding(arguments: argparse.Namespace) -> str:
    """Write what the model learned from: 0/255 where its labels were, class ids otherwise."""
    if arguments.encoding != "auto":
        return str(arguments.encoding)
    from unet_gui.core.model_info import looks_like_torch_file, read_model_info

    if looks_like_torch_file(arguments.model):  # a best_model.pth of the tutorial, whose masks are 0/255
        return "binary"
    trained = read_model_info(arguments.model).trained
    return "binary" if trained.get("encoding") == "binary" else "index"


def _evaluate(arguments: argparse.Namespace) -> int:
    from unet_gui.core.metrics import evaluate_folders

    interrupt.at_once()
    result = evaluate_folders(
        arguments.predicted, arguments.label, membrane=arguments.membrane, unlabelled=arguments.unlabelled
    )
    for text in [result.apart] if result.apart else [f"failed: {path}: {reason}" for path, reason in result.failed]:
        talk(text)
    print(json.dumps(result.to_json()) if arguments.json else result.text())
    return SOME_FAILED if result.failed else DONE


def _export(arguments: argparse.Namespace) -> int:
    from unet_gui.cli_exchange import run_export

    return run_export(arguments)


def _import(arguments: argparse.Namespace) -> int:
    from unet_gui.cli_exchange import run_import

    return run_import(arguments)


def _lines(value: object) -> list[str]:
    """Return a fact as lines: each entry of a list of texts on its own, names and values in pairs."""
    if isinstance(value, dict):
        return [f"{name}: {', '.join(_lines(one))}" for name, one in value.items() if one not in ("", [])]
    if isinstance(value, (list, tuple)):
        lines = [line for one in value for line in _lines(one)]
        if lines and all(line.endswith(".") for line in lines):
            return [" ".join(lines)]  # sentences
        return lines if any(" " in line for line in lines) else [", ".join(lines)]
    return [f"{value:.4g}" if isinstance(value, float) else str(value)]


def _info(arguments: argparse.Namespace) -> int:
    from unet_gui.core.describe import describe

    interrupt.at_once()
    facts = describe(arguments.path)
    if arguments.json:
        print(json.dumps(facts))
    else:
        width = max(map(len, facts))
        for name, value in facts.items():
            for n, line in enumerate(_lines(value)):
                print(f"{'' if n else name:<{width}}  {in_words(line)}")
    return DONE


# --- words ----------------------------------------------------------------------------------------------------------

COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "window": _window,
    "demo": _demo,
    "train": _train,
    "segment": _segment,
    "evaluate": _evaluate,
    "export": _export,
    "import": _import,
    "info": _info,
}


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unet-gui",
        description="Annotate and segment images with a U-Net. Without a command: the window, on FOLDER if given.",
        epilog="unet-gui [FOLDER] opens the window. unet-gui COMMAND --help tells more.",
    )
    parser.add_argument("--version", action="version", version=f"unet-gui {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=COMMANDS[name])
        sub.add_argument("--verbose", action="store_true", help="show the technical text of errors")
        return sub

    window = command("window", "open the window (the default)")
    window.add_argument("folder", nargs="?", metavar="FOLDER", help="folder of images")

    demo = command("demo", "try everything on the built-in sample: the window, or without a display the same job here")
    demo.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="where the sample goes (default: unet-gui-demo; for the window, your own data)",
    )
    demo.add_argument("--no-window", action="store_true", help="no window even where there is a display")
    demo.add_argument(
        "--minutes", type=_positive, default=1.0, metavar="N", help="training time without a window (default: 1)"
    )
    _common(demo)

    _add_train(command("train", "train a model on the labels of a folder"))
    _add_segment(command("segment", "segment images or folders with a model"))

    evaluate = command(
        "evaluate", "compare masks with labels: Dice, IoU, pixel error, Rand F, variation of information"
    )
    evaluate.add_argument("predicted", type=Path, metavar="PREDICTED_DIR", help="folder of masks, or one of them")
    evaluate.add_argument("label", type=Path, metavar="LABEL_DIR", help="folder of labels of the same names, or one")
    evaluate.add_argument("--membrane", default="auto", metavar="ID", help="class that separates regions, or none")
    evaluate.add_argument("--unlabelled", type=int, metavar="VALUE", help="label value that means unlabelled")
    evaluate.add_argument("--json", action="store_true", help="one JSON object")

    add_export(command("export", "write the masks of a folder in another format, or measurements of its blobs"))
    add_import(command("import", "read labels of another format into a folder"))

    info = command("info", "tell what an image, a label, a folder or a model is")
    info.add_argument("path", type=Path, metavar="PATH", help="image, label, folder or model")
    info.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _common(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps", help="where to compute (default: auto)")
    sub.add_argument("--json", action="store_true", help="one JSON event a line on stdout")


def _add_train(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", type=Path, metavar="FOLDER", help="folder of images with labels")
    sub.add_argument("--out", type=Path, required=True, metavar="M.safetensors", help="the model file to write")
    sub.add_argument("--recipe", choices=["fast", "tutorial"], default="fast", help="default: fast")
    budget = sub.add_mutually_exclusive_group()
    budget.add_argument(
        "--minutes",
        type=_positive,
        metavar="N",
        help="the best model possible in N minutes (default: 10; tutorial: 40 epochs)",
    )
    budget.add_argument("--epochs", type=int, metavar="N", help="passes over the images")
    sub.add_argument(
        "--val",
        metavar="IDS|FRACTION",
        help="validation images: names, numbers (16-19), pages of stacks (“page 17-20”), a fraction (0.2) or none",
    )
    sub.add_argument("--only", metavar="IDS", help="use these labelled images alone, e.g. 0-19 or “page 1-20”")
    sub.add_argument("--score", choices=["auto", "dice", "rand"], default="auto", help="what to choose the model by")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same device, same model (default: 0)")
    sub.add_argument(
        "--resume",
        action="store_true",
        help="go on where the last run with this --out stopped; the budget is of both together",
    )
    sub.add_argument("--init", type=Path, metavar="M", help="start from this model; what fits is kept")
    sub.add_argument("--labels", type=Path, metavar="DIR", help="folder of the labels, where it cannot be guessed")
    sub.add_argument("--unlabelled", type=int, metavar="VALUE", help="label value that means unlabelled")
    choices = sub.add_argument_group("choices", "made from the images and said before training, unless given here")
    for name, (kind, metavar, text) in TRAINING_CHOICES.items():
        choices.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    _common(sub)


def _add_segment(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("images", nargs="+", metavar="IMAGES", help="files, folders or patterns")
    sub.add_argument("--model", type=Path, required=True, metavar="M", help=".safetensors, or a best_model.pth")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the masks")
    sub.add_argument("--probabilities", action="store_true", help="also write NAME_prob.tif")
    sub.add_argument("--uncertainty", action="store_true", help="also write NAME_uncertainty.tif: entropy")
    sub.add_argument(
        "--disagreement",
        action="store_true",
        help="also write NAME_disagreement.tif: how far the answers for flipped images lie apart (takes longer)",
    )
    sub.add_argument("--float", action="store_true", help="these maps as floats 0…1 instead of 8 bits")
    sub.add_argument("--format", choices=["png", "tif"], default="png", help="of the masks; of stacks always tif")
    sub.add_argument(
        "--encoding",
        choices=["auto", "index", "binary"],
        default="auto",
        help="class ids, or 0/255 (default: as learned)",
    )
    sub.add_argument("--suffix", default="", metavar="_res", help="added to the name")
    sub.add_argument("--tile", type=int, metavar="N", help="side of a tile (default: by memory)")
    sub.add_argument("--tta", action="store_true", help="average over quarter turns, too: slower, a little better")
    sub.add_argument("--overwrite", action="store_true", help="segment also what is up to date")
    sub.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="a Dask scheduler to spread the images over")
    _common(sub)
