"""Makes the spoken words that the keyword model is trained and tested on.

    python3 synthesise.py train-espeak clips/train-espeak.npz
    python3 synthesise.py train-pico   clips/train-pico.npz
    python3 synthesise.py test-voices  clips/test-voices.npz
    python3 synthesise.py samples      samples

Each call but the last writes one set (SETS below) as a NumPy archive: every clip is cut
free of silence, brought to 16 kHz and stored end to end in `audio` (int16),
with `start`, `length`, `label` (a place in LABELS) and `name` for each clip.
The first set takes about 27,000 calls of espeak-ng; the rest are small. The
last call writes the sample WAVs, which are spoken by voices not trained on.

Needs numpy and scipy, and for each set the programs that its voices call:
espeak-ng, RHVoice-test, text2wave (festival), flite, pico2wave.
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import subprocess
import tempfile

import numpy
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 16000
WORDS = ("yes no up down left right on off stop go start "
         "zero one two three four five six seven eight nine").split()
LABELS = WORDS + ["unknown", "silence"]
UNKNOWN = LABELS.index("unknown")

ACCENTS = ("en-us en-us-nyc en-gb en-gb-x-rp en-gb-scotland en-gb-x-gbclan "
           "en-029").split()
UNHEARD_ACCENT = "en-gb-x-gbcwmd"
UNHEARD_VARIANTS = ("Alicia Andrea benjamin Gene Gene2 grandma Lee linda max "
                    "Michael Nguyen paul travis victor f5 klatt3 m4").split()

# Other ways to say a word, in espeak-ng's phonemes, so that vowels wander
# as they do between speakers.
PRONUNCIATIONS = {
    "yes": ["j'es", "j'I2s", "j'Es"], "no": ["n'o:", "n'@U", "n'oU"],
    "up": ["'Vp", "'ap", "'Up"], "down": ["d'aUn", "d'EUn", "d'A:Un"],
    "left": ["l'Eft", "l'eft"], "right": ["R'aIt", "r*'aIt", "r'VIt"],
    "on": ["'A:n", "'0n", "'O:n"], "off": ["'O:f", "'0f", "'A:f"],
    "stop": ["st'A:p", "st'op", "st'0p"], "go": ["g'o:", "g'@U", "g'oU"],
    "start": ["st'a:t", "st'A:rt", "st'A@t", "st'A:t"],
    "zero": ["z'i:roU", "z'I@r@U", "z'IroU", "z'i:ro:"],
    "one": ["w'Vn", "w'0n", "w'an"], "two": ["t'u:", "t'U:", "t'u"],
    "three": ["Tr*'i:", "Tr'i:", "TR'i:"], "four": ["f'O:", "f'o:r", "f'O@"],
    "five": ["f'aIv", "f'VIv", "f'A:Iv"], "six": ["s'Iks", "s'iks"],
    "seven": ["s'Evn", "s'ev@n", "s'Ev@n"], "eight": ["'e:t", "'eIt", "'EIt"],
    "nine": ["n'aIn", "n'VIn", "n'A:In"],
}

# WORDS as a reader of another language would have to see them to say them.
SPELLINGS = {
    "czech": "jes nou ap daun left rajt on of stop gou start zirou uan tu tri for fajv siks "
             "sevn ejt najn",
    "finnish": "jes nou ap daun left rait on of stop gou staat siirou uan tuu trii foor faiv siks "
               "seven eit nain",
    "italian": "ies nou ap daun left rait on of stop gou start zirou uan tu tri for faiv sics "
               "seven eit nain",
    "german": "jess noh app daun left reit onn off stopp goh staart siro wann tuh srie fohr feif "
              "six sewwen eht nein",
    "french": "yesse nau ape daoune lefte raïte onne offe stoppe gau starte zirau ouanne tou sri "
              "fore faïve sixe sévène ète naïne",
    "spanish": "yes nou ap daun left rait on of stop gou start sirou uan tu tri for faiv six "
               "seven eit nain",
}
FOREIGN_VOICES = [
    ("festival", "czech_dita", "czech"), ("festival", "czech_krb", "czech"),
    ("festival", "czech_machac", "czech"), ("festival", "czech_ph", "czech"),
    ("festival", "suo_fi_lj_diphone", "finnish"), ("festival", "hy_fi_mv_diphone", "finnish"),
    ("festival", "lp_diphone", "italian"), ("festival", "pc_diphone", "italian"),
]

NEAR_WORDS = """
note goat ride light night lift laugh step stock bath test town noun dawn gone
own town's yet yeah guess less mess chess best nest west ness use know-how nope
nose near now new none nor gnome dome cup pup cap hop ups upper under down's
doubt loud gown brown drown crown clown dozen done dumb dine den din leaf leg
let lad lived loft lent laughed theft deft cleft lest rate wrote route rise
rice ripe rhyme write-up wide white bright fright kite bite fight sight tight
height rat rot rut rent and an in arm aunt awning honour oft of coffee cough
often awful soft office moth shop top step stoop stomp strap stamp stab start-up
staff stuff star stark starve startle heart cart chart stuck stack state stair
store story dart tart stars scarf smart sharp goal goes ghost coat good guy
gate gown grow glow gold dough toe so show low row mow bow bone zeal hero
zebra zoo arrow sorrow narrow tomorrow real wand wan ton run sun fun gun once
wander want win when wine weigh wool to-day tune tooth tool do you who shoe
chew true through blue few view tree free threw thread thrill sea key tea fee
he she me we knee thirty fur far fair fire fear force fort form fork forth
floor flow door more core pour fife fine fight find fly life live drive hive
knife fives dive sixty sick fix mix sit picks socks sacks sex sticks kicks
tricks sister seventh heaven eleven several second severe even oven savings
ape age aid eighth late wait hate plate gate bait great rain main mine line
sign time dine shine vine night-time ninety name nice mind mile kind
""".split()

PLAIN_WORDS = """
about above across action add after again air all almost along also always
amber america amount anchor angel animal answer apple april arrive ask august
autumn away baby back backward bacon bad bag balance ball banana bank bar
basket battery beach bean bear beautiful because bed bee before begin behind
bell below bench between big bird black block board boat body book bottle box
boy brain branch bread break bridge bring brother brush bucket build bus busy
butter button buy camera candle canoe captain carry castle cat cent centre
chair change charlie cheese chicken child church circle city class clean clear
click clock close cloud coin cold colour come computer cook copper copy corner
count country cover cow cross crowd cry cut daisy dance danger dark daughter
david day december deep desk diamond dinner dirt doctor dog dollar double draw
dream dress drink drop dry duck dust ear early earth east easy eat edge egg
emma empty end engine enter evening every exit eye face fall family farm fast
father february feel field film finger first fish flag flat flower follow food
foot forest forget forward fox friday friend frog fruit full game garden george
ghost gift girl give glass glove grandmother grape grass green ground group
guitar hair half hammer hand happy harbour hat head health hear heavy hello
help henry hide high hill hole holiday home horse hospital hot hour house
hundred hungry ice idea inside iron island jacket january job join juice july
jump june kettle kitchen kitten ladder lady lake lamp land language large last
learn leave lemon letter library lion listen little lock long look lost love
lucy luck lunch machine magic make man map march market mary match may maybe
meat medicine meet melon metal middle milk million minute mirror monday money
monkey month moon morning mother mountain mouse mouth move movie mud music nail
natural needle neighbour never next noise north nothing november number ocean
october octopus oil old olivia onion open orange other outside oven over page
paint pair paper parent park part party pass pause peace pen pencil people
pepper person peter phone photo piano picture piece pig pilot pink place plane
plant play please pocket point police pony potato power present press price
prince problem pull purple push put puzzle queen question quick quiet rabbit
radio rainbow read ready record red remember repeat reset rest return river
road robot rock roof room rose round rubber ruby sad safe salad salt sand
sarah saturday say school science scissors screen search season seat september
set shadow shape sheep ship shirt shoulder shut silver simple sing size skate
skin skip sky sleep slow small smell smile smoke snake snow soap sofa son song
sorry sound soup south space speak spider spoon sport spring square stand
stone stool storm straight street strong student sugar summer sunday sunny
sure sweet swim table tail take talk tall tape taste taxi teach team tell
tennis thank their there thing think thousand thumb thunder thursday ticket
tiger tired toast today together tomato tongue touch towel toy traffic train
travel triangle trousers truck tuesday turn turtle twelve twenty ugly umbrella
uncle undo unlock until valley vegetable very village violin visit visual voice
volume wake walk wall warm wash watch water wave weather wednesday week welcome
wheel whisper wild will william wind window winter wish wolf woman wonder wood
word work world worm wrist yard year yellow yesterday young zip zoom
""".split()

TEST_WORDS = """
marvin sheila bird forward backward follow learn happy house tree wow cat dog
bed visual nose ghost stock town lift goat ride step test bath night cup laugh
gone narrow cost free fire mine wait text lamp kitchen paper table orange
""".split()

HEARD_WORDS = sorted(set(NEAR_WORDS + PLAIN_WORDS) - set(TEST_WORDS) - set(WORDS))


# ------------------------------------------------------------------ voices

def run(command, text=None):
    """Runs a program that writes a WAV to the path put in place of OUT."""
    with tempfile.NamedTemporaryFile(suffix=".wav", dir="/dev/shm") as out:
        command = [out.name if part == "OUT" else part for part in command]
        subprocess.run(command, input=text, text=True, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return wavfile.read(out.name)


def espeak(voice, text, rng, gentle):
    speed = rng.uniform(130, 210) if gentle else rng.uniform(105, 250)
    pitch = rng.uniform(25, 75) if gentle else rng.uniform(5, 95)
    return run(["espeak-ng", "-v", voice, "-s", f"{speed:.0f}", "-p", f"{pitch:.0f}",
                "-w", "OUT", text])


def mbrola(voice, text, rng, gentle):
    return run(["espeak-ng", "-v", voice, "-s", f"{rng.uniform(120, 180):.0f}",
                "-p", f"{rng.uniform(35, 65):.0f}", "-w", "OUT", text])


def rhvoice(voice, text, rng, gentle):
    return run(["RHVoice-test", "-p", voice, "-r", f"{rng.uniform(70, 150):.0f}",
                "-t", f"{rng.uniform(75, 130):.0f}", "-o", "OUT"], text)


def festival(voice, text, rng, gentle):
    stretch = 1.1 if gentle else rng.uniform(0.7, 1.5)
    set_up = f"(begin (voice_{voice}) (Parameter.set 'Duration_Stretch {stretch:.2f}))"
    return run(["text2wave", "-eval", set_up, "-o", "OUT"], text)


def flite(voice, text, rng, gentle):
    return run(["flite", "-voice", voice, "--setf",
                f"duration_stretch={rng.uniform(0.85, 1.3):.2f}", "-t", text, "-o", "OUT"])


def pico(voice, text, rng, gentle):
    tagged = (f'<speed level="{rng.uniform(70, 140):.0f}">'
              f'<pitch level="{rng.uniform(75, 130):.0f}">{text}</pitch></speed>')
    return run(["pico2wave", "-l", voice, "-w", "OUT", tagged])


ENGINES = {f.__name__: f for f in (espeak, mbrola, rhvoice, festival, flite, pico)}


def espeak_variants():
    listing = subprocess.run(["espeak-ng", "--voices=variant"], text=True,
                             capture_output=True, check=True).stdout
    files = [line.split("!v/")[1].split()[0] for line in listing.splitlines() if "!v/" in line]
    return sorted(set(files))


# -------------------------------------------------------------------- sets
# A clip to make: (engine, voice, text, label, gentle).

def nonsense(rng):
    """A made-up word, such as 'blorp' or 'shenk'."""
    onset = "b br bl d dr f fl g gr h j k kl m p pl r s sh sk sl sp t tr v w y z".split()
    middle = "a e i o u ee oo ay ow er ar".split()
    coda = "b ck d ft g k l lp m mp n nk nt p rn sh sk st t x z".split()
    word = "".join(rng.choice(part) for part in (onset, middle, coda))
    return word if word not in WORDS else nonsense(rng)


def strange_word(rng):
    kind = rng.random()
    if kind < 0.1:
        return nonsense(rng)
    return rng.choice(NEAR_WORDS if kind < 0.4 else HEARD_WORDS)


def tuned(text, rng):
    """The word with one of four punctuation marks, which change its melody."""
    return text + rng.choice(["", ".", "!", "?"])


def train_espeak(rng):
    heard = [v for v in espeak_variants() if v not in UNHEARD_VARIANTS]
    for accent in ACCENTS:
        for voice in [accent] + [f"{accent}+{v}" for v in heard]:
            for word in WORDS:
                yield "espeak", voice, tuned(word, rng), WORDS.index(word), False
                if rng.random() < 0.4:
                    phonemes = rng.choice(PRONUNCIATIONS[word])
                    yield "espeak", voice, f"[[{phonemes}]]", WORDS.index(word), False
            for _ in range(15):
                yield "espeak", voice, tuned(strange_word(rng), rng), UNKNOWN, False


def train_english(rng):
    voices = [("rhvoice", v) for v in ("alan", "bdl", "clb")] + [("festival", "ked_diphone")]
    for engine, voice in voices:
        for word in WORDS:
            for _ in range(12):
                yield engine, voice, tuned(word, rng), WORDS.index(word), False
        for word in sorted(set(NEAR_WORDS) - set(TEST_WORDS)) + rng.sample(HEARD_WORDS, 150):
            yield engine, voice, word, UNKNOWN, False


def train_pico(rng):
    for voice in ("en-US", "en-GB"):
        for word in WORDS:
            for _ in range(20):
                yield "pico", voice, tuned(word, rng), WORDS.index(word), False
        for _ in range(600):
            yield "pico", voice, strange_word(rng), UNKNOWN, False
    for voice, language in (("de-DE", "german"), ("fr-FR", "french"),
                            ("es-ES", "spanish"), ("it-IT", "italian")):
        yield from foreign(rng, "pico", voice, language, 10, 100)


def train_foreign(rng):
    for engine, voice, language in FOREIGN_VOICES:
        yield from foreign(rng, engine, voice, language, 4, 40)


def foreign(rng, engine, voice, language, repeats, strange):
    """English words in the spelling of the voice's own language."""
    for label, spelling in enumerate(SPELLINGS[language].split()):
        for _ in range(repeats):
            yield engine, voice, tuned(spelling, rng), label, False
    for word in rng.sample(PLAIN_WORDS, strange):
        yield engine, voice, word, UNKNOWN, False


def test_set(voices, repeats, strange):
    """Every word `repeats` times, and `strange` other words, from each voice."""
    def clips(rng):
        for engine, voice in voices:
            for word in WORDS:
                for _ in range(repeats):
                    yield engine, voice, word, WORDS.index(word), True
            for word in rng.sample(TEST_WORDS, strange):
                yield engine, voice, word, UNKNOWN, True
    return clips


UNHEARD_VOICES = [(a, v) for a in ACCENTS for v in UNHEARD_VARIANTS]
SETS = {
    "train-espeak": train_espeak,
    "train-english": train_english,
    "train-pico": train_pico,
    "train-foreign": train_foreign,
    "test-voices": test_set([("espeak", f"{a}+{v}") for a, v in UNHEARD_VOICES], 1, 5),
    "test-accent": test_set([("espeak", f"{UNHEARD_ACCENT}+{v}") for v in UNHEARD_VARIANTS], 2, 10),
    "test-flite": test_set([("flite", v) for v in "kal kal16 awb rms slt".split()], 5, 25),
    "test-mbrola": test_set([("mbrola", f"mb-{v}") for v in "us1 us2 us3 en1".split()], 5, 25),
    "test-festival": test_set([("festival", "rab_diphone"), ("festival", "don_diphone")], 1, 25),
}


# File, engine, voice, text, and the rate and channels to bring it to.
SAMPLES = [
    ("yes.wav", "espeak", "en-us+Andrea", "yes", 16000, 1),
    ("stop.wav", "espeak", "en-gb-x-gbcwmd+benjamin", "stop", 16000, 1),
    ("left.wav", "flite", "slt", "left", 16000, 1),
    ("seven.wav", "flite", "awb", "seven", 16000, 1),
    ("bird.wav", "espeak", "en-gb+linda", "bird", 16000, 1),
    ("no-22050.wav", "espeak", "en-gb-scotland+max", "no", 22050, 1),
    ("up-44100-stereo.wav", "espeak", "en-us+Michael", "up", 44100, 2),
    ("five-8000.wav", "espeak", "en-us+Lee", "five", 8000, 1),
]


# ------------------------------------------------------------------- clips

def trimmed(audio):
    """Cuts the silence before and after, 40 dB under the loudest 10 ms."""
    frames = audio[:len(audio) // 160 * 160].reshape(-1, 160)
    level = numpy.sqrt((frames ** 2).mean(axis=1))
    loud = numpy.nonzero(level > 0.01 * level.max())[0]
    return audio[max(0, loud[0] * 160 - 320):(loud[-1] + 1) * 160 + 320]


def make(job):
    """One clip as int16 at 16 kHz, or None where the voice fails to speak."""
    seed, (engine, voice, text, label, gentle) = job
    try:
        rate, audio = ENGINES[engine](voice, text, random.Random(seed), gentle)
    except (subprocess.CalledProcessError, ValueError):
        return None
    audio = audio.astype(numpy.float64)
    if len(audio) < 1000 or not audio.any():
        return None
    common = numpy.gcd(rate, RATE)
    audio = trimmed(resample_poly(audio, RATE // common, rate // common))
    audio *= 20000 / numpy.abs(audio).max()
    return audio.round().astype(numpy.int16), label, f"{engine}:{voice}:{text}"


def write_samples(folder):
    for file, engine, voice, text, wanted, channels in SAMPLES:
        rate, audio = ENGINES[engine](voice, text, random.Random(file), True)
        common = numpy.gcd(rate, wanted)
        audio = resample_poly(audio.astype(numpy.float64), wanted // common, rate // common)
        audio = audio.clip(-32768, 32767).round().astype(numpy.int16)
        wavfile.write(os.path.join(folder, file), wanted,
                      audio if channels == 1 else numpy.stack([audio] * channels, axis=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=[*SETS, "samples"])
    parser.add_argument("output")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--part", type=float, default=1.0, help="make only this share of the clips")
    options = parser.parse_args()
    if options.set == "samples":
        return write_samples(options.output)

    seed = int(hashlib.sha256(options.set.encode()).hexdigest()[:8], 16)
    rng = random.Random(seed)
    wanted = list(SETS[options.set](rng))
    wanted = rng.sample(wanted, round(len(wanted) * options.part))
    with multiprocessing.Pool(options.jobs) as pool:
        made = pool.map(make, [(seed + i, clip) for i, clip in enumerate(wanted)], chunksize=50)
    made = [clip for clip in made if clip is not None]

    length = numpy.array([len(audio) for audio, _, _ in made], numpy.int64)
    numpy.savez_compressed(
        options.output, audio=numpy.concatenate([audio for audio, _, _ in made]),
        start=numpy.cumsum(length) - length, length=length,
        label=numpy.array([label for _, label, _ in made]),
        name=numpy.array([name for _, _, name in made]))
    print(f"{options.set}: {len(made)} of {len(wanted)} clips, "
          f"{length.sum() / RATE:.0f} s of speech")


if __name__ == "__main__":
    main()
