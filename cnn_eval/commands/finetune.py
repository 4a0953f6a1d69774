"""`finetune`: retrains a network through a design."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.support.cli import Commands, integer, say, table
from circuits.support.options import add_cells, add_cpu_features, add_device, add_format, add_out, add_seed, add_threads
from cnn_eval.choices import BACKWARD, COMPUTE, MAXIMUM_SEED, OPTIMIZERS
from cnn_eval.commands.network_options import (
    add_data_options,
    add_integer_options,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.output import accuracy_cells, accuracy_columns, print_results, print_titled

if TYPE_CHECKING:
    from torch import nn

    from cnn_eval.measure.network_accuracy import AccuracyResult


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "finetune",
        help="retrain a network through a design and write its weights",
        description="Retrains a network through a design, float or, with --quantize, of integers, and prints the "
        "accuracy before and after on the test images. The weights serve as --weights of every command. A checkpoint "
        "stands beside them while the run lasts; the same command resumes a killed run.",
    )
    parser.add_argument(
        "designs",
        nargs=1,
        metavar="DESIGN",
        help="a named design, a file, or one design for each layer: LAYER=DESIGN,LAYER=DESIGN",
    )
    add_cells(parser)
    add_network_options(parser)
    add_data_options(parser)
    parser.add_argument(
        "--test-data", metavar="SOURCE", help="test images, as for --data (default: of --data; a fifth of your own)"
    )
    parser.add_argument("--train-images", type=integer(1), metavar="N", help="training images (default: all)")
    add_samples(parser)
    add_integer_options(parser)
    training = parser.add_argument_group("retraining")
    training.add_argument("--epochs", type=integer(1), default=1, metavar="N", help="passes over the training images")
    training.add_argument("--batch-size", type=integer(1), metavar="N", help="images in a step (default: 64)")
    training.add_argument("--learning-rate", type=float, metavar="R", help="peak learning rate (default: 0.0005)")
    training.add_argument("--optimizer", choices=OPTIMIZERS, help="Adam (default), or descent with momentum")
    training.add_argument(
        "--backward",
        choices=BACKWARD,
        help="gradient of the approximate layers (default: table1d for integer designs, else ste)",
    )
    training.add_argument(
        "--recalibrate",
        type=integer(0),
        metavar="N",
        help="take the scales anew after each epoch, from N training images (default: keep them)",
    )
    add_seed(training, MAXIMUM_SEED, help="seed of every random choice")  # type: ignore[arg-type]
    training.add_argument("--compute", choices=COMPUTE, default=COMPUTE[0], help="how products are computed")
    add_cpu_features(parser)
    add_device(parser)
    add_threads(parser)
    add_out(parser, help="weights to write, .safetensors, with a record beside them", required=True)
    parser.add_argument("--fresh", action="store_true", help="start over, replacing weights and checkpoint")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Retrains, writes, and prints the accuracies."""
    import torch

    from cnn_eval.commands.network_subjects import (
        identity,
        integer_settings,
        note_unreplaced,
        subject_networks,
        subjects,
    )
    from cnn_eval.measure.network_accuracy import AccuracyResult
    from cnn_eval.models.inference import predict
    from cnn_eval.models.user_model import check_model
    from cnn_eval.retraining.finetune_settings import FinetuneSettings
    from cnn_eval.retraining.finetune_to_file import augmentation_of, check_out, finetune_to_file

    out: Path = arguments.out
    check_out(out, arguments.model, fresh=arguments.fresh)
    (subject,) = subjects(arguments)
    names = ("epochs", "batch_size", "learning_rate", "optimizer", "backward", "recalibrate", "seed")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    settings = FinetuneSettings(
        model=arguments.model, threads=torch.get_num_threads(), **augmentation_of(arguments.model), **given
    )
    networks = subject_networks(arguments)
    if arguments.recover and not networks.is_quantized:
        raise ValueError(
            "--recover must be left out for a float network, whose weights have no place for gains; quantise it or "
            "retrain alone."
        )
    networks.check(subject)
    data = _data(arguments)
    check_model(networks.base, data.test_images, data.test_labels)
    left = note_unreplaced(networks.base, arguments.layers, data.test_images)
    network = networks.through(subject)

    def measured(model: nn.Module) -> AccuracyResult:
        return AccuracyResult((predict(model, data.test_images) == data.test_labels).numpy())

    others = {} if networks.float_network is None else {"float": measured(networks.float_network)}
    if networks.is_quantized:
        others[f"exact {networks.codes_of(subject)}"] = measured(networks.exact(subject))
    result = finetune_to_file(network, settings, data, out, fresh=arguments.fresh)
    # Standard output is one document where --format asks for one.
    say(f"{out}  sha256 {result.record['sha256']}", file=sys.stdout if arguments.format == "table" else sys.stderr)
    accuracies = {**others, "before": result.before, "after": result.after}
    rows = [{"network": name, **_numbers(each, result.before)} for name, each in accuracies.items()]
    if arguments.format != "table":
        more = {**identity(subject), **integer_settings(arguments), "unreplaced": left, "record": result.record}
        return print_results(arguments, rows, more)
    return _print(arguments, rows, identity(subject)["design"], len(data.images))


def _data(arguments: argparse.Namespace) -> Any:
    from dataclasses import replace

    from cnn_eval.measure.network_accuracy import sample_count
    from cnn_eval.retraining.training_images import train_and_test

    data = train_and_test(
        model=arguments.model,
        data=arguments.data,
        test_data=arguments.test_data,
        dataset=arguments.dataset,
        folder=arguments.folder,
    )
    train = sample_count(arguments.train_images, len(data.images), "training images")
    test = sample_count(arguments.samples, len(data.test_images), "test images")
    return replace(
        data,
        images=data.images[:train],
        labels=data.labels[:train],
        test_images=data.test_images[:test],
        test_labels=data.test_labels[:test],
    )


def _numbers(measured: AccuracyResult, before: AccuracyResult) -> dict[str, Any]:
    from cnn_eval.measure.network_accuracy import difference

    moved, interval = difference(measured, before)
    return {**measured.to_dict(), "difference_to_before": moved, "difference_interval": interval}


def _print(arguments: argparse.Namespace, rows: list[dict[str, Any]], design: str, train: int) -> int:
    recovered = f"recovered from {arguments.recover} images beforehand; " if arguments.recover else ""
    title = (
        f"{arguments.model} retrained through {design}: {arguments.epochs} "
        f"epoch{'s' if arguments.epochs > 1 else ''} of {train:,} images, {rows[0]['images']:,} test images;\n"
        f"{recovered}differences in percentage points"
    )
    columns = accuracy_columns("before")
    accuracies = table("network", *columns, right=columns)
    for row in rows:
        accuracies.add_row(row["network"], *accuracy_cells(row, "before"))
    return print_titled(title, accuracies)
