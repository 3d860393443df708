"""`python -m trainer.support_base`: build the bundled base, measure a base, look at the corpus."""

import json
import sys
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from assistant.errors import AssistantError
from assistant.libraries import prepare_libraries
from assistant.settings import BUNDLED_BASE
from trainer.support_base.corpus import CorpusError, load_corpus
from trainer.support_base.dialogues import draw_dialogue
from trainer.support_base.plan import OtherBuildError, Progress
from trainer.support_base.suites import QuestionFileError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The base model that ships with Errata: its corpus, its build, its measure."
)
_HUMAN_QUESTIONS = Path(__file__).parents[2] / "tests" / "trainer" / "support_base" / "human_questions.jsonl"
_console = Console(stderr=True)


@app.command()
def build(
    out: Annotated[
        Path, typer.Option(help="Where checkpoints and the finished model go; an interrupted build is resumed from here.")
    ] = Path("build/support_base"),
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; the default takes over two hours on two cores.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the dialogues and of the first weights.")] = 1,
) -> None:
    """Pretrain the base from nothing but this folder, and write it to OUT/model."""
    from trainer.support_base.building import build_base  # torch takes seconds to import, and --help should not

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"))
    with RichProgress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=_console) as bar:
        task = bar.add_task("pretraining", total=None, shown="")

        def publish(now: Progress) -> None:
            shown = f"loss {now.loss:.3f} · {now.tokens_per_s:,.0f} tokens/s · step {now.step}/{now.steps}"
            bar.update(task, total=now.steps, completed=now.step, shown=shown)
            if not _console.is_terminal:  # a log has no use for a bar, and a line each time tells how far a long build is
                _console.print(f"{shown} · {now.eta_s / 60:.0f} min left", highlight=False)

        folder = build_base(out, steps=steps, seed=seed, publish=publish)
    _console.print(f"Finished: {folder}. Measure it with: python -m trainer.support_base evaluate --base {folder}")


@app.command()
def evaluate(
    base: Annotated[Path, typer.Option(help="Folder of the base to measure.")] = BUNDLED_BASE,
    seed: Annotated[int, typer.Option(help="Seed of the questions.")] = 1,
    questions: Annotated[Path, typer.Option(help="Questions typed by hand, one JSON object a line.")] = _HUMAN_QUESTIONS,
    card: Annotated[bool, typer.Option("--card", help="Write the model card into the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last instead of a table.")] = False,
    replies: Annotated[
        Path | None, typer.Option(help="Also write every question, reply and reading to this file, one JSON object a line.")
    ] = None,
) -> None:
    """Measure a base, quantised to nf4, on wordings, names and topics that never occur in pretraining."""
    from trainer.support_base.measuring import measure_base, write_replies

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    with RichProgress(*columns, console=_console) as bar:
        measured = measure_base(base, seed=seed, human_questions=questions, progress=bar)
    if replies is not None:
        write_replies(measured, replies)
    if card:
        from trainer.support_base.model_card import write_model_card

        write_model_card(base, measured)
    if as_json:
        print(json.dumps({**measured.scores, "slot_entropy_bits": measured.entropies, "confusions": measured.confusions[:12]}))
    else:
        for name, value in measured.scores.items():
            print(f"{name:24} {value:10.4f}")


@app.command()
def sample(
    count: Annotated[int, typer.Option("--count", "-n", help="How many dialogues.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the first one.")] = 1,
) -> None:
    """Print dialogues as pretraining sees them."""
    corpus = load_corpus()
    for number in range(count):
        dialogue = draw_dialogue(corpus, Random(f"sample:{seed}:{number}"))
        print(f"── {dialogue.system or '(no system message)'}")
        for turn in dialogue.turns:
            print(f"\n  user      {turn.user.replace(chr(10), chr(10) + ' ' * 12)}\n  assistant {turn.reply}")
        print()


def main() -> None:
    """Run the command line; what somebody can do something about ends in a sentence."""
    prepare_libraries()
    try:
        app()
    except (AssistantError, CorpusError, OtherBuildError, QuestionFileError) as error:
        _console.print(f"Error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
