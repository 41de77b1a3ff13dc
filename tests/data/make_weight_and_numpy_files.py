"""Writes the small files that tests/engine/model/ reads.

    pip install numpy safetensors ml_dtypes
    python3 make_weight_and_numpy_files.py

Unless its line says otherwise, an array holds -2, -1, 0, 1, 2, 3 in shape [2, 3].
"""

import pathlib

import ml_dtypes
import numpy
import safetensors.numpy

FOLDER = pathlib.Path(__file__).parent
VALUES = numpy.arange(-2, 4).reshape(2, 3)
UNSIGNED = numpy.arange(6, dtype=numpy.uint8).reshape(2, 3)


tensors = {name: VALUES.astype(dtype) for name, dtype in
           [("f32", "<f4"), ("f16", "<f2"), ("f64", "<f8"), ("i32", "<i4"), ("i64", "<i8"),
            ("bf16", ml_dtypes.bfloat16)]}
safetensors.numpy.save_file(tensors | {"u8": UNSIGNED}, FOLDER / "types.safetensors",
                            {"format": "pt"})

arrays = {"f2": VALUES.astype("<f2"), "f4": VALUES.astype("<f4"), "f8": VALUES.astype("<f8"),
          "i2": VALUES.astype("<i2"), "i4": VALUES.astype("<i4"), "i8": VALUES.astype("<i8"),
          "u1": UNSIGNED, "b1": UNSIGNED > 2, "scalar": numpy.float32(7),
          "fortran": numpy.asfortranarray(VALUES.astype("<f4")),
          "fortran3": numpy.asfortranarray(numpy.arange(24, dtype="<i4").reshape(2, 3, 4)),
          "empty": numpy.zeros([0, 3], "<f4")}
numpy.savez(FOLDER / "types.npz", **arrays)
numpy.savez_compressed(FOLDER / "compressed.npz", f4=arrays["f4"])
numpy.save(FOLDER / "array.npy", arrays["f4"])
for major in (2, 3):
    with open(FOLDER / f"version{major}.npy", "wb") as file:
        numpy.lib.format.write_array(file, arrays["f4"], version=(major, 0))
numpy.save(FOLDER / "big_endian.npy", VALUES.astype(">f4"))
numpy.save(FOLDER / "structured.npy", numpy.zeros(2, [("a", "<f4"), ("b", "<i4")]))
numpy.save(FOLDER / "complex.npy", VALUES.astype("<c8"))
