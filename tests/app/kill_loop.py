"""Kills a session again and again while it paints and saves, and checks what is left. POSIX only.

``python -m tests.app.kill_loop FOLDER KILLS SEED`` prints one JSON object. The program is forked from a parent that has
imported everything, so that a life costs little more than its own time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication, QTimer

from unet_gui.app.document import Document
from unet_gui.app.session import Session
from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.journal import checksum, read_journal
from unet_gui.core.project import Dataset


class Life:
    """A session that brings back what the last life lost and then paints until it is killed.

    An ordinary one saves all the time and goes from image to image, so that many kills meet a save. One without a rest
    stays at its image and never pauses long enough to save: only the journal has what it painted.
    """

    def __init__(self, folder: Path, seed: int, out: int, rests: bool) -> None:
        self.session = Session()
        self.session.saving._quiet.setInterval(20 if rests else 600_000)
        self.rests = rests
        self.rng = random.Random(seed)
        self.out = out
        self.hand = QTimer()
        self.hand.timeout.connect(self.gesture)
        self.session.image_changed.connect(self.shown)
        self.session.folder_changed.connect(self.opened)
        self.session.open_folder(folder)

    def tell(self, *words: object) -> None:
        os.write(self.out, (" ".join(str(word) for word in words) + "\n").encode())

    def opened(self) -> None:
        folder = self.session.folder
        if folder is not None and folder.recovery.keys:
            self.session.image_changed.disconnect(self.shown)
            folder.recovery.restored.connect(self.restored)
            folder.recovery.restore()

    def restored(self, keys: list[str], errors: list[Exception]) -> None:
        self.tell("restored", len(keys), len(errors), *(str(error).replace("\n", " ") for error in errors))
        self.session.image_changed.connect(self.shown)
        self.shown()

    def shown(self) -> None:
        if self.session.document is not None and not self.hand.isActive():
            self.hand.start(4)

    def gesture(self) -> None:
        document, folder, rng = self.session.document, self.session.folder, self.rng
        if document is None or folder is None or folder.journal is None:
            return
        if rng.random() < 0.2 and document.history.can_undo:
            self.undo(document)
        else:
            self.stroke(document)
        self.tell("finished", document.key, checksum(document.labels.ids), time.monotonic())
        if not self.rests:
            return
        if rng.random() < 0.1:
            folder.journal.flush()
            self.tell("flushed", document.key, checksum(document.labels.ids))
        if rng.random() < 0.05:
            self.session.open_image(rng.choice(folder.dataset.images))

    def stroke(self, document: Document) -> None:
        edit = self.session.begin_edit("brush")
        assert edit is not None
        for _ in range(self.rng.randint(1, 4)):
            edit.paint(Rect(self.rng.randint(0, 500), self.rng.randint(0, 400), 60, 40), None, self.rng.randint(0, 1))
        self.tell("state", document.key, checksum(document.labels.ids))
        self.session.end_edit(edit)

    def undo(self, document: Document) -> None:
        delta = document.history.next_undo
        assert delta is not None
        after = np.array(document.labels.ids)
        for tx, ty, change in delta.decoded():
            after[ty * 256 : (ty + 1) * 256, tx * 256 : (tx + 1) * 256] ^= change
        self.tell("state", document.key, checksum(after))
        self.session.undo()


class Judge:
    """Knows every state the person has seen, and looks at what a kill has left.

    Attributes
    ----------
    faults : list of str
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []
        self.gestures = self.restored = self.in_journal = 0
        self.states: dict[str, list[int]] = {}
        self.safe: dict[str, int] = {}
        dataset = Dataset.open(folder)
        for ref in dataset.images:
            shape = dataset.open_image(ref).shape
            self.states[ref.key] = [checksum(np.full(shape, 255, np.uint8))]

    def hear(self, lines: list[str], killed: float) -> dict[str, int]:
        """Take note of a life; return for each image the first state that must not be older."""
        needed: dict[str, int] = {}
        for line in lines:
            words = line.split()
            if words[0] == "state":
                self.states[words[1]].append(int(words[2]))
            elif words[0] == "finished":
                self.gestures += 1
                if float(words[3]) < killed - 1.0:
                    needed[words[1]] = len(self.states[words[1]]) - 1
            elif words[0] == "flushed":
                needed[words[1]] = len(self.states[words[1]]) - 1
            elif words[0] == "restored":
                self.restored += int(words[1])
                if words[2] != "0":
                    self.faults.append(line)
        return needed

    def look(self, life: int, needed: dict[str, int]) -> None:
        """Every label decodes and is a state the person had; with the journal nothing that was safe is missing."""
        dataset = Dataset.open(self.folder)
        journals = [read_journal(path) for path in sorted((dataset.state_dir / "journal").glob("*.log"))]
        self.in_journal += sum(map(len, journals))
        for ref in dataset.images:
            key, states = ref.key, self.states[ref.key]
            try:
                ids = dataset.load_label(ref)
            except UserError as error:
                self.faults.append(f"life {life}: {error}")
                continue
            if ids is None:
                ids = np.full(dataset.open_image(ref).shape, 255, np.uint8)
            on_disk = checksum(ids)
            if on_disk not in states:
                self.faults.append(f"life {life}: the label of {key} is no state the person had")
                continue
            try:
                for journal in journals:
                    if key in journal:
                        ids = journal[key].apply(ids)
            except UserError as error:
                self.faults.append(f"life {life}: the journal of {key}: {error}")
                continue
            if checksum(ids) not in states:
                self.faults.append(f"life {life}: {key} with its journal is no state the person had")
                continue
            last = len(states) - 1 - states[::-1].index(checksum(ids))
            least = needed.get(key, self.safe.get(key, 0))
            if last < least:
                self.faults.append(f"life {life}: {key} is {least - last} gestures behind")
            self.states[key] = [on_disk, checksum(ids)]
            self.safe[key] = 1  # what was safe once stays so, however often the next lives are killed


def main(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    judge = Judge(folder)
    for life in range(kills):
        # most lives are short: the kill meets opening, restoring and saving; some are long enough to have a past
        long, rests = life % 12 == 11, life % 24 != 23
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            app = QCoreApplication([])
            life_of_child = Life(folder, seed * 1000 + life, writer, rests)
            app.exec()
            os._exit(life_of_child.hand.interval())
        os.close(writer)
        time.sleep(rng.uniform(1.3, 2.0) if long else rng.uniform(0.05, 0.3))
        killed = time.monotonic()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader) as pipe:
            text = pipe.read()
        needed = judge.hear([line for line in text.split("\n")[:-1] if line], killed)
        judge.look(life, needed)
    result = {
        "faults": judge.faults,
        "gestures": judge.gestures,
        "restored": judge.restored,
        "in_journal": judge.in_journal,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
