"""Trains and tests the keyword model that graphs/keywords.yaml describes.

    python3 train.py train clips/train-espeak.npz clips/train-other.npz --minutes 4
    python3 train.py test clips/test-voices.npz clips/test-flite.npz
    python3 train.py confusions clips/test-flite.npz
    python3 train.py golden

`train` writes keywords.safetensors beside this file; `test` prints how often
each set of clips is named rightly; `confusions` prints what is taken for what;
`golden` writes golden.json, the probabilities for the 16 kHz mono samples.
The clips come from synthesise.py. Training wants a GPU, the rest does not.

Needs torch, numpy, scipy, safetensors and pyyaml.
"""

import argparse
import collections
import copy
import json
import math
import pathlib
import time

import numpy
import safetensors.torch
import torch
import yaml
from scipy.io import wavfile
from torch.nn import functional

from synthesise import LABELS, RATE, UNKNOWN, WORDS

HERE = pathlib.Path(__file__).resolve().parent
GRAPH = HERE.parent.parent / "graphs" / "keywords.yaml"
WEIGHTS = HERE / "keywords.safetensors"
SILENCE = LABELS.index("silence")
SPAN = 32768  # samples in every Fourier transform, two seconds
EAGERNESS = 1.0  # taken off the score of "unknown": see README.md
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


# ------------------------------------------------------------------- model

def layer(kind, channels, attributes):
    """The PyTorch module for one layer of the graph, or None for Add and Concat."""
    if kind in ("Add", "Concat"):
        return None
    first = {"Conv1d": "in_channels", "Linear": "in_features", "BatchNorm1d": "num_features",
             "InstanceNorm1d": "num_features"}.get(kind)
    if first:
        attributes = {first: channels, **attributes}
    return getattr(torch.nn, kind)(**attributes)


class Graph(torch.nn.Module):
    """The network that a graph file describes, its layers named as there."""

    def __init__(self, path):
        super().__init__()
        graph = yaml.safe_load(path.read_text())
        assert graph["labels"] == LABELS
        self.steps = []
        (last, shape), = graph["inputs"].items()
        channels = {last: shape["shape"][1]}
        for attributes in graph["layers"]:
            name, kind = attributes.pop("name"), attributes.pop("type")
            inputs = attributes.pop("inputs", [last])
            width = channels[inputs[0]]
            if kind == "Concat":
                width = sum(channels[i] for i in inputs)
            module = layer(kind, width, attributes)
            if module is not None:
                self.add_module(name, module)
            channels[name] = attributes.get("out_channels", width)
            self.steps.append((name, kind, inputs))
            last = name
        self.first, self.last = next(iter(graph["inputs"])), last

    def forward(self, waveform, until=None):
        values = {self.first: waveform}
        for name, kind, inputs in self.steps:
            given = [values[i] for i in inputs]
            if kind == "Add":
                values[name] = given[0] + given[1]
            elif kind == "Concat":
                values[name] = torch.cat(given, 1)
            else:
                values[name] = self.get_submodule(name)(*given)
            if name == until:
                break
        return values[until or self.last]


def save(model, path):
    """Convolution and linear weights as f16, the norms' as f32."""
    tensors = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        narrow = value.dim() > 1
        tensors[name] = value.to(torch.float16 if narrow else torch.float32).cpu().contiguous()
    safetensors.torch.save_file(tensors, path)


def load(path):
    model = Graph(GRAPH)
    tensors = safetensors.torch.load_file(path)
    tensors = {name: value.float() for name, value in tensors.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all(m.endswith("num_batches_tracked") for m in missing)
    return model.eval()


# ------------------------------------------------------------------- clips

class Clips:
    """Sets of spoken clips, end to end in one tensor on the device."""

    def __init__(self, paths, device):
        parts = [numpy.load(path) for path in paths]
        sizes = numpy.cumsum([0] + [len(p["audio"]) for p in parts])
        joined = {k: numpy.concatenate([p[k] for p in parts])
                  for k in ("audio", "length", "label", "name")}
        start = numpy.concatenate([p["start"] + size for p, size in zip(parts, sizes)])
        self.audio = torch.from_numpy(joined["audio"]).to(device)
        self.start = torch.from_numpy(start).to(device)
        self.length = torch.from_numpy(joined["length"]).to(device)
        self.label = torch.from_numpy(joined["label"]).to(device)
        self.name = joined["name"]
        self.device = device

    def shares(self):
        """How often to draw each clip: words alike, one in ten unknown, and
        45 in a hundred from the voices that are not espeak-ng's."""
        other = torch.tensor([not n.startswith("espeak") for n in self.name], device=self.device)
        group = self.label * 2 + other
        count = torch.bincount(group, minlength=2 * len(LABELS)).clamp(min=1)
        share = torch.where(self.label == UNKNOWN, 0.10, 0.90 / len(WORDS))
        return share * torch.where(other, 0.45, 0.55) / count[group]

    def spoken(self, index, size, rate, offset, wander=0):
        """Clips played at `rate` from sample `offset` of a window of `size`,
        `wander` samples early or late along the way."""
        length = self.length[index][:, None]
        place = (torch.arange(size, device=self.device) - offset[:, None]) * rate[:, None] + wander
        whole = place.floor()
        f = (place - whole)
        inside = (place >= 0) & (place < length - 1)

        def sample(step):
            at = (whole.long() + step).clamp(min=0).minimum(length - 1)
            return self.audio[self.start[index][:, None] + at].float() / 32768

        a, b, c, d = (sample(step) for step in (-1, 0, 1, 2))
        cubic = b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))
        return cubic * inside


# ------------------------------------------------------------ augmentation

def uniform(count, low, high, device):
    return torch.rand(count, 1, device=device) * (high - low) + low


def sometimes(count, chance, device):
    return torch.rand(count, 1, device=device) < chance


def smooth_curve(count, bins, spread, device):
    """Random gains in dB over frequency: eight points on a log scale, and a tilt."""
    points = torch.randn(count, 8, device=device) * spread
    points = points + torch.linspace(-1, 1, 8, device=device) * uniform(count, -1, 1, device) * 2 * spread
    hertz = torch.linspace(1, RATE / 2, bins, device=device)
    place = (torch.log(hertz.clamp(min=60) / 60) / math.log(8000 / 60) * 7).clamp(max=6.999)
    low = place.long()
    return torch.lerp(points[:, low], points[:, low + 1], place - low)


def band(count, bins, device):
    """The gains of a narrow line, such as a telephone's 300 to 3400 Hz."""
    hertz = torch.linspace(0, RATE / 2, bins, device=device)
    low, high = uniform(count, 50, 400, device), uniform(count, 2800, 7000, device)
    return torch.sigmoid((hertz - low) / 25) * torch.sigmoid((high - hertz) / 60)


def room(count, size, device):
    """Impulse responses of rooms that ring for 0.05 to 0.7 s."""
    t = torch.arange(size, device=device) / RATE
    ring = torch.exp(-6.9 * t / uniform(count, 0.05, 0.7, device)) * torch.randn(count, size, device=device)
    ring = ring * 10 ** (uniform(count, -20, 0, device) / 20) / ring.norm(dim=1, keepdim=True)
    ring[:, 0] = 1
    return ring


def reshaped(sound):
    """Formants moved up or down with the pitch left alone, and some breath."""
    count, size = sound.shape
    device = sound.device
    window = torch.hann_window(160, device=device)
    spectrum = torch.stft(sound, 160, 40, window=window, return_complex=True)
    bins = spectrum.shape[1]
    place = (torch.arange(bins, device=device) * uniform(count, 0.84, 1.2, device)).clamp(max=bins - 1.001)
    low = place.long()[:, :, None].expand(-1, -1, spectrum.shape[2])
    level = spectrum.abs()
    moved = torch.lerp(level.gather(1, low), level.gather(1, low + 1), place.frac()[:, :, None])
    blur = torch.where(sometimes(count, 0.4, device), uniform(count, 0, 1.5, device), 0)[:, :, None]
    phase = spectrum.angle() + blur * torch.randn_like(level)
    return torch.istft(torch.polar(moved, phase), 160, 40, window=window, length=size)


def wandering(count, size, device):
    """How far a clip runs ahead or behind, in samples, as its speed rises and falls."""
    period = uniform(count, 0.15, 0.6, device) * RATE
    turn = 2 * math.pi * (torch.arange(size, device=device) / period + torch.rand(count, 1, device=device))
    depth = torch.where(sometimes(count, 0.5, device), uniform(count, 0, 0.2, device), 0)
    return depth * period / (2 * math.pi) * torch.sin(turn)


def through_line(sound):
    """Sound after a random room, equaliser and line."""
    count, size = sound.shape
    n, bins = SPAN, SPAN // 2 + 1
    gain = 10 ** (smooth_curve(count, bins, 5.0, sound.device) / 20)
    gain = torch.where(sometimes(count, 0.8, sound.device), gain, 1)
    gain = gain * torch.where(sometimes(count, 0.3, sound.device), band(count, bins, sound.device), 1)
    spectrum = torch.fft.rfft(sound, n) * gain
    rooms = torch.fft.rfft(room(count, 6400, sound.device), n)
    spectrum = spectrum * torch.where(sometimes(count, 0.45, sound.device), rooms, 1)
    return torch.fft.irfft(spectrum, n)[:, :size]


def coloured(count, size, device):
    """Noise of random colour, from white to beyond brown, swelling at times."""
    bins = SPAN // 2 + 1
    hertz = torch.linspace(1, RATE / 2, bins, device=device).clamp(min=40)
    slope = (hertz / 1000) ** uniform(count, -1.3, 0.2, device)
    gain = slope * 10 ** (smooth_curve(count, bins, 5.0, device) / 20)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(count, SPAN, device=device)) * gain)[:, :size]
    swell = functional.interpolate(torch.rand(count, 1, 9, device=device), size, mode="linear",
                                   align_corners=True)[:, 0]
    return noise * torch.where(sometimes(count, 0.3, device), swell, 1)


def hum(count, size, device):
    """Mains hum with overtones, or a lone tone."""
    t = torch.arange(size, device=device) / RATE
    base = torch.where(sometimes(count, 0.7, device), uniform(count, 45, 130, device),
                       uniform(count, 130, 3000, device))
    return sum(torch.rand(count, 1, device=device) / k
               * torch.sin(2 * math.pi * (k * base * t + torch.rand(count, 1, device=device)))
               for k in (1, 2, 3, 5, 7))


def clicks(count, size, device):
    """A few short taps."""
    hit = (torch.rand(count, size, device=device) < 3 / size) * torch.randn(count, size, device=device)
    decay = torch.exp(-torch.arange(400, device=device) / uniform(count, 5, 100, device))
    tap = decay * torch.randn(count, 400, device=device)
    return torch.fft.irfft(torch.fft.rfft(hit, SPAN) * torch.fft.rfft(tap, SPAN))[:, :size]


def unit(sound):
    """Scaled to a root mean square of one; silence stays silence."""
    return sound / sound.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)


def background(count, size, device):
    noise = unit(coloured(count, size, device))
    noise = noise + torch.where(sometimes(count, 0.2, device), unit(hum(count, size, device)), 0) \
        * uniform(count, 0.1, 2, device)
    return noise + torch.where(sometimes(count, 0.1, device), unit(clicks(count, size, device)), 0)


def babble(speech):
    """Each row's background made of three other rows' speech."""
    order = torch.randperm(len(speech), device=speech.device)
    others = sum(speech[order.roll(k)].roll(k * 2999, 1) for k in (1, 2, 3))
    return unit(others)


def mixed(speech, loudness, noise, decibels):
    """Speech over noise `decibels` under it."""
    return speech + noise * loudness * 10 ** (-decibels / 20)


def recorded(sound):
    """Gain over 40 dB, clipping at times, and 16-bit rounding."""
    count, device = len(sound), sound.device
    sound = sound / sound.abs().amax(1, keepdim=True).clamp(min=1e-4)
    drive = torch.where(sometimes(count, 0.15, device), uniform(count, 1, 5, device), 1)
    sound = (sound * drive).clamp(-1, 1) * 10 ** (uniform(count, -40, 0, device) / 20)
    return (sound * 32767).round() / 32768


def batch(clips, shares, count):
    """Clips and labels for one step of training, all of one random length."""
    device = clips.device
    size = 800 * int(9 + 22 * torch.rand(()).item())
    index = torch.multinomial(shares * (clips.length < 1.2 * size), count, replacement=True)
    label = clips.label[index].clone()
    rate = torch.where(sometimes(count, 0.2, device), 1, uniform(count, 0.82, 1.22, device))[:, 0]
    rate = torch.maximum(rate, clips.length[index] / (0.98 * size))
    taken = clips.length[index] / rate
    offset = torch.rand(count, device=device) * (size - taken)
    speech = clips.spoken(index, size, rate, offset, wandering(count, size, device))
    speech = torch.where(sometimes(count, 0.4, device), reshaped(speech), speech)

    loudness = (speech.square().sum(1) / taken).sqrt()[:, None]
    silent = sometimes(count, 0.06, device)
    label[silent[:, 0]] = SILENCE
    speech = through_line(torch.where(silent, 0, speech))
    noise = torch.where(sometimes(count, 0.25, device) & ~silent,
                        babble(speech) * 0.7, background(count, size, device))
    decibels = torch.where(sometimes(count, 0.65, device), uniform(count, 0, 40, device), 200)
    return recorded(mixed(speech, loudness, noise, decibels)), label


# ---------------------------------------------------------------- training

def train(options):
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    clips = Clips(options.clips, DEVICE)
    shares = clips.shares()
    model = (load(options.start) if options.start else Graph(GRAPH)).to(DEVICE).train()
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.03)
    began, step = time.time(), 0
    while (done := (time.time() - began) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, step / 300) * (0.5 + 0.5 * math.cos(math.pi * done))
        sound, label = batch(clips, shares, options.batch)
        with torch.autocast(DEVICE, torch.bfloat16):
            scores = model(sound[:, None], until="logits")
        loss = functional.cross_entropy(scores.float(), label, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        follow(average, model, min(0.999, step / (step + 10)))
        if step % 200 == 0:
            right = (scores.argmax(1) == label).float().mean()
            print(f"{time.time() - began:6.1f} s  step {step}  loss {loss:.3f}  right {right:.3f}",
                  flush=True)
            save(average, options.output)
        step += 1
    with torch.no_grad():
        average.logits.bias[UNKNOWN] -= EAGERNESS
    save(average, options.output)
    print(f"{step} steps of {options.batch} in {time.time() - began:.0f} s on {DEVICE}")


@torch.no_grad()
def follow(average, model, keep):
    """A running average of the weights, which tests better than the last ones."""
    for a, b in zip(average.state_dict().values(), model.state_dict().values()):
        if a.is_floating_point():
            a.lerp_(b, 1 - keep)
        else:
            a.copy_(b)


# ----------------------------------------------------------------- testing

CONDITIONS = ("clean", "noise 10 dB", "telephone")


def disturbed(sound, loudness, condition):
    """The sound as one of CONDITIONS has it."""
    count, size = sound.shape
    if condition.startswith("noise"):
        noise = unit(coloured(count, size, sound.device))
        return mixed(sound, loudness, noise, float(condition.split()[1]))
    if condition == "telephone":
        hertz = torch.linspace(0, RATE / 2, SPAN // 2 + 1, device=sound.device)
        line = torch.sigmoid((hertz - 300) / 25) * torch.sigmoid((3400 - hertz) / 60)
        return torch.fft.irfft(torch.fft.rfft(sound, SPAN) * line)[:, :size]
    return sound


@torch.no_grad()
def guesses(model, clips, condition):
    """(label, guess) for every clip, each at a random place and level in a second
    of sound, or in a longer stretch where the clips beside it are longer."""
    torch.manual_seed(7)
    found = []
    for index in torch.arange(len(clips.label), device=clips.device).split(64):
        length = clips.length[index]
        size = max(RATE, int(length.max()))
        offset = torch.rand(len(index), device=clips.device) * (size - length)
        sound = clips.spoken(index, size, torch.ones_like(offset), offset.floor())
        loudness = (sound.square().sum(1) / length).sqrt()[:, None]
        sound = disturbed(sound, loudness, condition)
        sound = sound * 10 ** (uniform(len(index), -30, 0, clips.device) / 20)
        guess = model(sound[:, None]).argmax(1)
        found += zip(clips.label[index].tolist(), guess.tolist())
    return found


@torch.no_grad()
def silences(model, device, count=320):
    """How many stretches of noise alone, and of nothing, are heard as silence."""
    torch.manual_seed(7)
    noise = background(count, RATE, device) * 10 ** (uniform(count, -70, -20, device) / 20)
    noise[:count // 10] = 0
    guess = torch.cat([model(part[:, None]).argmax(1) for part in noise.split(64)])
    return int((guess == SILENCE).sum()), count


def percent(pairs):
    return f"{100 * sum(a == b for a, b in pairs) / max(1, len(pairs)):5.1f}%"


def test(options):
    model = load(options.weights).to(DEVICE)
    print(f"{'set':14} {'condition':12} {'clips':>6} {'words':>7} {'unknown':>8} {'all':>7}")
    for path in options.clips:
        clips = Clips([path], DEVICE)
        for condition in CONDITIONS:
            pairs = guesses(model, clips, condition)
            words = [p for p in pairs if p[0] != UNKNOWN]
            others = [p for p in pairs if p[0] == UNKNOWN]
            print(f"{pathlib.Path(path).stem:14} {condition:12} {len(pairs):6} {percent(words):>7} "
                  f"{percent(others):>8} {percent(pairs):>7}", flush=True)
    right, count = silences(model, DEVICE)
    print(f"silence: {right} of {count}")


def confusions(options):
    model = load(options.weights).to(DEVICE)
    clips = Clips(options.clips, DEVICE)
    pairs = guesses(model, clips, "clean")
    wrong = collections.Counter(p for p in pairs if p[0] != p[1])
    for (label, guess), count in wrong.most_common(25):
        print(f"{LABELS[label]} heard as {LABELS[guess]}: {count}")
    voices = collections.defaultdict(list)
    for name, pair in zip(clips.name, pairs):
        if pair[0] != UNKNOWN:
            voices[":".join(name.split(":")[:2])].append(pair)
    for voice, found in sorted(voices.items()):
        print(f"{voice}: {percent(found)} of {len(found)} words")


def golden(options):
    """Probabilities in fp32 on the CPU for the samples at 16 kHz mono."""
    model = load(options.weights)
    results = {}
    for path in sorted((HERE / "samples").glob("*.wav")):
        rate, audio = wavfile.read(path)
        if rate != RATE or audio.ndim > 1:
            continue
        sound = torch.from_numpy(audio.astype(numpy.float32) / 32768)
        with torch.no_grad():
            results[path.name] = model(sound[None, None])[0].tolist()
        best = max(range(len(LABELS)), key=results[path.name].__getitem__)
        print(f"{path.name}: {LABELS[best]} {results[path.name][best]:.3f}")
    text = json.dumps({"labels": LABELS, "probabilities": results}, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["train", "test", "confusions", "golden"])
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--start", help="weights that train goes on from")
    parser.add_argument("--output", default=WEIGHTS, help="where train writes the weights")
    parser.add_argument("--weights", default=WEIGHTS, help="what the other tasks read")
    options = parser.parse_args()
    {"train": train, "test": test, "confusions": confusions, "golden": golden}[options.task](options)


if __name__ == "__main__":
    main()
