"""Which GPUs are visible, from variables and from a made-up file system."""

from pathlib import Path

import pytest

from mpibatch.cluster.environment import CUDA, HIP, LEVEL_ZERO, ROCR
from mpibatch.placement.gpus import Devices, absent_devices, parse_ids, parse_nvidia_smi, visible_devices
from tests.processes import as_others_read

WHOLE = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""
CUT = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-aaaa/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""


def no_smi() -> str:
    raise AssertionError("nvidia-smi is the last resort")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def add_amd(root: Path, gpus: int) -> None:
    for node in range(gpus + 1):  # node 0 is the CPU
        folder = root / f"sys/class/kfd/kfd/topology/nodes/{node}"
        folder.mkdir(parents=True)
        (folder / "properties").write_text(f"cpu_cores_count 8\nsimd_count {304 if node else 0}\n")


@pytest.mark.parametrize(
    ("value", "identifiers"),
    [
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0", ("0",)),
        ("2, 3", ("2", "3")),
        ("0,-1,1", ("0",)),
        ("1,1", ("1",)),
        ("GPU-aaaa,MIG-1111,MIG-GPU-aaaa/2/0", ("GPU-aaaa", "MIG-1111", "MIG-GPU-aaaa/2/0")),
        ("0.0,0.1", ("0.0", "0.1")),
    ],
)
def test_values_of_visibility_variables(value: str, identifiers: tuple[str, ...]) -> None:
    assert parse_ids(value) == identifiers


def test_device_files_count(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "dev/nvidia0",
        "dev/nvidia3",
        "dev/nvidiactl",
        "dev/nvidia-uvm",
        "dev/nvidia-caps/nvidia-cap1",
    )
    touch(tmp_path, *(f"proc/driver/nvidia/gpus/0000:0{gpu}:00.0/information" for gpu in range(4)))
    assert visible_devices({}, tmp_path, no_smi) == Devices(CUDA, ("0", "1"), ("nvidia0", "nvidia3"))


def test_device_files_that_are_withheld_do_not_count(tmp_path: Path) -> None:
    touch(tmp_path, "dev/nvidia0", "dev/nvidia1")
    (tmp_path / "dev/nvidia0").chmod(0)
    seen = as_others_read(lambda: visible_devices({}, tmp_path, no_smi))
    assert seen == Devices(CUDA, ("0",), ("nvidia1",))


def test_proc_counts_before_there_are_device_files(tmp_path: Path) -> None:
    touch(tmp_path, "proc/driver/nvidia/gpus/0000:01:00.0/information")
    assert visible_devices({}, tmp_path, no_smi).identifiers == ("0",)


def test_mig_devices_are_taken_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "dev/nvidia0", "dev/nvidia1", "proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access")
    assert visible_devices({}, tmp_path, lambda: CUT).identifiers == ("MIG-1111", "MIG-GPU-aaaa/2/0", "GPU-bbbb")
    assert visible_devices({}, tmp_path, str).identifiers == ("0", "1")  # nvidia-smi is missing


def test_nvidia_smi_where_nothing_else_tells(tmp_path: Path) -> None:
    assert visible_devices({}, tmp_path, lambda: WHOLE) == Devices(CUDA, ("0", "1"))
    assert visible_devices({}, tmp_path, lambda: "No devices were found\n") == Devices()
    assert parse_nvidia_smi(WHOLE) == ("0", "1")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_that_the_user_hid_are_not_looked_for(tmp_path: Path, hidden: str) -> None:
    assert visible_devices({CUDA: hidden}, tmp_path, no_smi).identifiers == ()
    touch(tmp_path, "dev/nvidia0")
    assert visible_devices({CUDA: hidden}, tmp_path, no_smi).identifiers == ()


def test_the_variable_goes_before_the_hardware(tmp_path: Path) -> None:
    touch(tmp_path, *(f"dev/nvidia{gpu}" for gpu in range(8)))
    assert visible_devices({CUDA: "4,5"}, tmp_path, no_smi).identifiers == ("4", "5")


def test_variables_are_believed_without_hardware(tmp_path: Path) -> None:
    assert visible_devices({CUDA: "1"}, tmp_path, no_smi) == Devices(CUDA, ("1",))
    assert visible_devices({LEVEL_ZERO: "0.0,0.1"}, tmp_path, no_smi) == Devices(LEVEL_ZERO, ("0.0", "0.1"))
    assert visible_devices({CUDA: "", ROCR: "2"}, tmp_path, no_smi) == Devices(ROCR, ("2",))


def test_amd(tmp_path: Path) -> None:
    add_amd(tmp_path, gpus=12)
    found = visible_devices({}, tmp_path, no_smi)
    assert found.variable == ROCR
    assert found.identifiers == tuple(str(gpu) for gpu in range(12))
    assert found.device_files == tuple(str(node) for node in range(1, 13))


def test_of_amds_variables_the_innermost_is_narrowed(tmp_path: Path) -> None:
    add_amd(tmp_path, gpus=4)
    env = {ROCR: "2,3"}
    assert visible_devices(env, tmp_path, no_smi).variable == ROCR
    assert visible_devices(env | {HIP: "0,1"}, tmp_path, no_smi).variable == HIP
    assert visible_devices(env | {CUDA: "0,1"}, tmp_path, no_smi).variable == CUDA


def test_the_hardware_decides_between_the_vendors_variables(tmp_path: Path) -> None:
    touch(tmp_path, "dev/nvidia0", "dev/nvidia1")
    env = {ROCR: "0,1", CUDA: "0,1", LEVEL_ZERO: "0,1"}  # Slurm without AutoDetect
    assert visible_devices(env, tmp_path, no_smi).variable == CUDA


def test_what_slurm_bound_is_marked(tmp_path: Path) -> None:
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_GPUS_PER_TASK": "1"}
    assert visible_devices(step | {CUDA: "0"}, tmp_path, no_smi) == Devices(CUDA, ("0",), task_bound=True)


def test_devices_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES=0 on a node without GPUs ended the run: two ranks, one GPU."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    assert absent_devices({CUDA: "0"}, tmp_path) == (CUDA,)
    assert absent_devices({CUDA: "-1"}, tmp_path) == absent_devices({}, tmp_path) == ()
    assert absent_devices({CUDA: "0", "SLURM_GPUS_ON_NODE": "1"}, tmp_path) == ()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert absent_devices({CUDA: "0"}, tmp_path) == ()
