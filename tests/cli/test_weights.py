"""`dmb weights`: files in, one sentence out where they are wrong, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.checkpoints.test_conversion import Code
from tracker.checkpoints.trunk import trunk_stride
from tracker.checkpoints.weights import load_weights, read_weights, save_weights
from tracker.cli.main import USAGE, main
from tracker.cli.weights import default_output
from tracker.network import Architecture, DMBNet
from tracker.network.backbone import Trunk


@pytest.fixture
def resnet(tmp_path: Path) -> Path:
    """A torchvision ResNet-50 of a few kilobytes."""
    names = {"res2.": "layer1.", "res3.": "layer2.", "res4.": "layer3."}
    state: dict[str, Tensor] = {"layer4.0.bn1.weight": torch.zeros(3), "fc.bias": torch.zeros(1000)}
    for name, tensor in Trunk(stride_on="3x3").state_dict().items():
        state[names.get(name[:5], name[:5]) + name[5:]] = torch.ones(()).expand(tensor.shape)
    path = tmp_path / "resnet50-0676ba61.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a/net.pth", "a/net.safetensors"),
        ("net.v2.pth.tar", "net.v2.safetensors"),
        ("net.tar", "net.safetensors"),
        ("net.v2", "net.v2.safetensors"),
        (".pth", ".pth.safetensors"),
    ],
)
def test_the_output_lies_beside_the_source(source: str, target: str) -> None:
    assert default_output(Path(source)) == Path(target)


def test_a_resnet_is_described_and_converted(resnet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "info", str(resnet)]) == 0
    output = capsys.readouterr().out
    assert "torchvision ResNet-50" in output and f"dmb weights convert {resnet}" in output
    assert main(["weights", "convert", str(resnet)]) == 0
    target = resnet.with_name("resnet50-0676ba61.safetensors")
    assert "--trunk" in capsys.readouterr().out
    assert trunk_stride(target) == "3x3"
    assert main(["weights", "info", str(target)]) == 0
    output = capsys.readouterr().out
    assert "stride on: 3x3\n" in output and "verified" in output and "source: resnet50-0676ba61.pth\n" in output
    assert "parameters, total: 8,543,296\n" in output


def test_an_existing_file_is_replaced_only_by_force(resnet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = resnet.with_name("mine.safetensors")
    target.write_bytes(b"precious")
    arguments = ["weights", "convert", str(resnet), "--output", str(target)]
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"
    assert main([*arguments, "--force"]) == 0
    assert "conv1.weight" in load_file(target)


@pytest.mark.parametrize(
    ("output", "reason"),
    [("", "is a folder"), ("none/x.safetensors", "in none"), ("resnet50-0676ba61.pth", "is the source")],
)
def test_outputs_that_cannot_be(
    tmp_path: Path, resnet: Path, capsys: pytest.CaptureFixture[str], output: str, reason: str
) -> None:
    before = resnet.read_bytes()
    assert main(["weights", "convert", str(resnet), "--force", "--output", str(tmp_path / output)]) == 1
    error = capsys.readouterr().err
    assert reason in error and error.startswith("dmb weights: error: ") and error.count("\n") == 1
    assert resnet.read_bytes() == before


def test_wrong_files_are_one_sentence(tmp_path: Path, resnet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil, short, mark = tmp_path / "evil.pth", tmp_path / "short.pth", tmp_path / "mark"
    torch.save({"x": Code(mark)}, evil)
    short.write_bytes(resnet.read_bytes()[:-100])
    for path in (evil, short, tmp_path / "gone.pth", tmp_path):
        for command in ("convert", "info"):
            assert main(["weights", command, str(path)]) == 1
            output = capsys.readouterr()
            assert output.err.startswith(f"dmb weights: error: '{path}'") and output.err.count("\n") == 1
            assert output.out == ""
    assert not mark.exists()
    assert not list(tmp_path.glob("*.safetensors"))


def test_info_is_about_the_projects_own_file_unless_named(
    weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMB_WEIGHTS", str(weights_file))
    assert main(["weights", "info"]) == 0
    output = capsys.readouterr().out
    for part in ("memory_encoder", "query_encoder", "memory_key_value", "query_key_value", "decoder", "total"):
        assert f"parameters, {part}: " in output
    for line in ("holds: DMB weights", "numbers: float16, float32", "coarse_prediction: ", "stage: ", "format: dmb-1"):
        assert f"\n{line}" in output
    assert " verified\n" in output and "\narchitecture: blocks 3-4-6, values 512, decoder 256" in output
    monkeypatch.setenv("DMB_WEIGHTS", "/nowhere/x.safetensors")
    assert main(["weights", "info"]) == 1
    assert "DMB_WEIGHTS" in capsys.readouterr().err


def test_info_on_another_network_lists_names_and_keeps_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.safetensors"
    facts = {"format": "dmb-1", "stride_on": "3x3", "note": "a\x1b[2Jb\nc"}
    save_file({"decoder.predict.bias": torch.zeros(3), "extra": torch.zeros(1)}, path, metadata=facts)
    assert main(["weights", "info", str(path)]) == 1
    output = capsys.readouterr()
    assert "note: a\\x1b[2Jb\\nc\n" in output.out
    assert "checksum: none\n" in output.out
    assert "unexpected extra" in output.err and "missing " in output.err
    assert "decoder.predict.bias is (3,) instead of (2,)" in output.err


def test_usage_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "weights convert" in USAGE
    for wrong in ([], ["convert"], ["fly"]):
        with pytest.raises(SystemExit) as caught:
            main(["weights", *wrong])
        assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def network(path: Path, seed: int, **facts: object) -> dict[str, Tensor]:
    """Write the weights of a small network; returns its numbers as they are in the file."""
    torch.manual_seed(seed)
    model = DMBNet(architecture=Architecture((1, 1, 1), 8, 8), **facts)  # type: ignore[arg-type]
    save_weights(model, path, {"stage": "stills", "steps": str(seed)})
    return load_file(path)


def test_the_mean_of_files_is_their_mean_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (network(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2))
    names = [str(tmp_path / f"{seed}.safetensors") for seed in (1, 2, 2)]
    output = tmp_path / "mean.safetensors"
    assert main(["weights", "average", *names, "--output", str(output)]) == 0
    assert "holds the mean of 3 files: checksum " in capsys.readouterr().out
    mean, facts = read_weights(output)
    for name, tensor in mean.items():
        wanted = (first[name].double() + 2 * second[name].double()) / 3
        assert tensor.dtype == first[name].dtype
        torch.testing.assert_close(tensor.double(), wanted, rtol=1e-3, atol=1e-6)
    assert facts["stage"] == "stills" and facts["steps"] == "the mean of 3 files" and "config" not in facts
    assert facts["mean_of"].startswith("1.safetensors ") and facts["mean_of"].count("2.safetensors") == 2
    assert load_weights(output).architecture == Architecture((1, 1, 1), 8, 8)


def test_what_cannot_be_averaged_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, output = (tmp_path / f"{name}.safetensors" for name in ("one", "other", "mean"))
    network(one, 1)

    def sentence(*words: object) -> str:
        assert main(["weights", "average", *map(str, words)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and not output.exists()
        return error

    network(other, 2, stride_on="3x3")
    assert "have another stride_on, '3x3' and '1x1'" in sentence(one, other, "--output", output)
    other.write_bytes(b"no weights")
    assert "other.safetensors' is not a readable safetensors file" in sentence(one, other, "--output", output)
    before = one.read_bytes()
    assert "is a source; name another file" in sentence(one, one, "--output", one, "--force")
    assert "exists; name another file with --output" in sentence(one, one, "--output", other)
    assert one.read_bytes() == before
    with pytest.raises(SystemExit) as ended:
        main(["weights", "average", str(one), "--output", str(output)])
    assert ended.value.code == 2 and "the mean of one file is that file" in capsys.readouterr().err
