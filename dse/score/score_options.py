"""Options of the commands that score designs."""

from __future__ import annotations

from circuits.support.cli import Parser, integer
from dse.score.scorers.evaluation_data import EMBEDDED_IMAGES
from dse.score.scorers.scorer import ScoreSettings


def add_images(parser: Parser) -> None:
    """The option --images."""
    parser.add_argument(
        "--images",
        type=integer(1, EMBEDDED_IMAGES),
        metavar="N",
        default=ScoreSettings().images,
        help=f"test images for accuracy, at most {EMBEDDED_IMAGES}",
    )


def add_scorer(parser: Parser) -> None:
    """The option --scorer."""
    parser.add_argument(
        "--scorer",
        action="append",
        metavar="MODULE:NAME",
        help="scorer of your own, package.module:NAME, whose columns may be objectives and constraints; repeatable "
        "(default: none)",
    )
