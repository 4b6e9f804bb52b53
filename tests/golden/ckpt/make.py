"""Files written by other people's programs, for tests/spec/ckpt: mixed.safetensors by the
safetensors package, *.npy by numpy. Values are simple enough to be named in the tests.

    python make.py        # needs numpy, safetensors, torch (for bfloat16)
"""
import numpy as np
import torch
from safetensors.torch import save_file

save_file({
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    "a.weight": torch.tensor([1.5, -2.0], dtype=torch.float32),
    "half": torch.tensor([1.0, 2.5, -3.0], dtype=torch.float16),
    "brain": torch.tensor([[1.0], [-0.5]], dtype=torch.bfloat16),
    "double": torch.tensor([np.pi], dtype=torch.float64),
    "long": torch.tensor([[-1, 2**62]], dtype=torch.int64),
    "int": torch.tensor([7, -7, 2**31 - 1], dtype=torch.int32),
    "byte": torch.tensor([0, 127, 255], dtype=torch.uint8),
    "flag": torch.tensor([True, False, True]),
    "scalar": torch.tensor(42.0),
    "empty": torch.zeros(0, 4),
    "m\u00f6nd \"1\"": torch.tensor([1.0]),
}, "mixed.safetensors", metadata={"format": "pt"})

grid = np.arange(12, dtype=np.float32).reshape(3, 4)
np.save("f4.npy", grid)
np.save("fortran.npy", np.asfortranarray(grid.astype(np.float64)))
np.save("i8.npy", np.array([-1, 2**62], dtype=np.int64))
np.save("u1.npy", np.array([[0, 255]], dtype=np.uint8))
np.save("b1.npy", np.array([True, False]))
np.save("f2.npy", np.array(1.5, dtype=np.float16))
np.save("big.npy", grid.astype(">f4"))
