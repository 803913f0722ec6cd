"""Spoken digits: a network over the raw wave that understands voices it has never heard.

    pip install espeakng-loader               carries espeak-ng, the speech synthesiser that speaks the data
    python examples/sound.py                  the whole example
    python examples/sound.py --quick          fewer voices and epochs

The words "zero" to "nine" are spoken in several English accents, at many pitches and speeds, and written once as 8 kHz
wave files to --data: DATA/train/zero/*.wav and so on. Voices in DATA/test are never heard in training.
"""

import argparse
import ctypes
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import foveate as fv
from foveate import zoo

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000
LENGTH = 8000
SHIFT = 800

# espeak-ng's voices, but for whispers and robots. Some are near twins ("Gene", "Gene2"): those are all in training. No
# test voice shares more than a third of its settings with a training voice.
TRAINING_VOICES = (
    "m1 m2 m4 m5 m6 m8 f1 f3 f4 f5 Alex Alicia Andy Diogo Gene Gene2 Henrique Hugo Jacky Mario Michael Mike Nguyen "
    "Reed RicishayMax adam anika antonio aunty belinda benjamin caleb david ed edward edward2 grandma grandpa gustave "
    "iven iven2 iven3 john klatt klatt2 klatt3 klatt4 linda marcelo max michel miguel mike2 norbert paul pedro quincy "
    "rob robert sandro shelby steph steph2 travis victor"
)
TEST_VOICES = "m3 m7 f2 Andrea Annie Denis Lee boris ian kaukovalta pablo zac"
VOICES = {"train": TRAINING_VOICES.split(), "test": TEST_VOICES.split()}
ACCENTS = ("en", "en-us", "en-us-nyc", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
SPEEDS = (110, 200)
"""Slowest and fastest, in words a minute."""
PITCHES = (20, 80)
"""Lowest and highest, of 0 to 99."""
TAPE = (0.8, 1.25)
"""Slowest and fastest playing of training voices: it moves their formants too, like larger and smaller heads."""


class Synthesizer:
    """espeak-ng through its C interface."""

    def __init__(self) -> None:
        try:
            import espeakng_loader  # type: ignore[import-untyped]
        except ImportError:
            raise SystemExit("espeak-ng speaks the data of this example: pip install espeakng-loader") from None
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        hand_over, never_exit = 2, 0x8000
        self.rate: int = self.library.espeak_Initialize(hand_over, 0, data.encode(), never_exit)
        if self.rate <= 0:
            raise SystemExit(f"espeak-ng cannot read its data in {data}; a path of less than 150 letters may help")
        self.pieces: list[NDArray[np.int16]] = []
        receive = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.receive = receive(self._receive)  # kept, because espeak-ng calls it later
        self.library.espeak_SetSynthCallback(self.receive)

    def speak(self, word: str, voice: str, speed: int, pitch: int, seed: int) -> NDArray[np.int16]:
        """The word as samples, `rate` in a second."""
        self.pieces.clear()
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        text, utf8 = word.encode(), 1
        failed = self.library.espeak_SetVoiceByName(voice.encode())
        failed |= self.library.espeak_SetParameter(1, speed, 0) | self.library.espeak_SetParameter(3, pitch, 0)
        failed |= self.library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, utf8, None, None)
        if failed or not self.pieces:
            raise SystemExit(f'espeak-ng cannot say "{word}" with the voice {voice}')
        return np.concatenate(self.pieces)

    def _receive(self, samples: Any, count: int, _: Any) -> int:
        if samples and count:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def one_second(samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """The word in the middle of one second, padded or cropped, at 8 kHz: higher frequencies are cut off."""
    start = (rate - len(samples)) // 2
    padded = np.zeros(rate)
    padded[max(start, 0) : max(start, 0) + len(samples)] = samples[max(-start, 0) : max(-start, 0) + rate]
    spectrum = np.fft.rfft(padded)[: LENGTH // 2 + 1]
    return np.clip(np.fft.irfft(spectrum, LENGTH) * (LENGTH / rate), -32768, 32767).astype(np.int16)


def make_folder(folder: Path, voices: int, takes: int) -> None:
    """Speak each word `takes` times with the first `voices` voices of each part. Nothing to do where it was done."""
    if folder.exists():
        return
    espeak = Synthesizer()
    random = np.random.default_rng(0)
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part, names in VOICES.items():
        for word in WORDS:
            place = unfinished / part / word
            place.mkdir(parents=True)
            for voice in names[:voices]:
                for take in range(takes):
                    accent = str(random.choice(ACCENTS))
                    speed, pitch = int(random.integers(*SPEEDS)), int(random.integers(*PITCHES))
                    samples = espeak.speak(word, f"{accent}+{voice}", speed, pitch, take)
                    tape = random.uniform(*TAPE) if part == "train" else 1.0
                    with wave.open(str(place / f"{voice}-{take}-{accent}-{speed}-{pitch}.wav"), "wb") as file:
                        file.setparams((1, 2, RATE, LENGTH, "NONE", ""))
                        file.writeframes(one_second(samples, round(espeak.rate * tape)).tobytes())
    unfinished.rename(folder)


def read_folder(folder: Path) -> fv.Dataset:
    """folder/word/*.wav as a dataset; each wave is brought to one loudness."""
    waves, labels = [], []
    for label, word in enumerate(WORDS):
        for path in sorted((folder / word).glob("*.wav")):
            with wave.open(str(path), "rb") as file:
                samples = np.frombuffer(file.readframes(LENGTH), np.int16).astype(np.float32)
            waves.append(samples / np.sqrt(np.mean(samples**2)))
            labels.append(label)
    return fv.Dataset(np.stack(waves)[:, None], np.array(labels), WORDS)


def main() -> None:
    """Speak, train and evaluate."""
    options = arguments()
    voices, takes = (8, 3) if options.quick else (len(VOICES["train"]), 8)
    folder = options.data / f"{voices}-voices-{takes}-takes"
    make_folder(folder, voices, takes)
    train, test = read_folder(folder / "train"), read_folder(folder / "test")
    print(f"training: {train}; test: {test}")

    graph = zoo.audio4(input_shape=train.shape, classes=len(WORDS))
    print(graph.summary())

    model = fv.Model(graph, seed=0)
    model.fit(
        train,
        epochs=options.epochs or (5 if options.quick else 14),
        batch_size=16 if options.quick else 32,
        schedule=fv.OneCycle(0.05),
        augmentation=fv.Augmentation(shift=SHIFT),
        out=options.out,
    )

    result = model.evaluate(test)
    for word, share in zip(WORDS, result.per_class, strict=True):
        print(f"{word:6} {share or 0:7.2%}")
    print(f"accuracy on voices never heard in training: {result.accuracy:.2%}")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, help="passes over the data (default: 14, or 5 with --quick)")
    parser.add_argument("--out", type=Path, default=Path("runs/sound"), help="where the model is written")
    parser.add_argument("--data", type=Path, default=Path("runs/spoken-digits"), help="where the wave files are kept")
    parser.add_argument("--quick", action="store_true", help="a short form, with few voices")
    return parser.parse_args()


if __name__ == "__main__":
    main()
