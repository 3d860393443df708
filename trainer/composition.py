"""The product, composed over one data folder: whoever needs a model, the memory and the loop together starts here."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant
from assistant.engine.rendering import count_prompt_tokens, hash_template
from assistant.engine.reply import Sampling
from assistant.hot_swap import HotSwap, deploy_base
from assistant.settings import BUNDLED_BASE, Settings
from feedback_db.audit import Audit
from feedback_db.database import Database
from feedback_db.recipe import read_recipe
from trainer.guard import draw_default_questions
from trainer.memory import open_memory
from trainer.planning import ServedBase, make_plan
from trainer.schedule import SchedulePolicy
from trainer.supervision.supervisor import Supervisor

_GUARD_QUESTIONS = 300  # of which some two fifths watch what must stay, and the others are rehearsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Errata:
    """The running product."""

    db: Database
    audit: Audit
    live: LiveAssistant
    hot_swap: HotSwap
    supervisor: Supervisor


@contextmanager
def open_errata(settings: Settings) -> Iterator[Errata]:
    """Load the base, open the memory, serve what is deployed; at the end a run under way goes on, and the next start adopts it.

    Raises:
        AssistantError, FeedbackError: the base cannot be loaded, or the memory not be opened.
    """
    with ExitStack() as stack:
        db, audit = stack.enter_context(open_memory(settings))  # first, for it is quick to say that another process has it
        base = load_base_model(settings.base or BUNDLED_BASE, device=settings.device)
        live = stack.enter_context(LiveAssistant(base))
        sampling = Sampling(max_tokens=settings.max_reply_tokens)
        deploy_base(db, audit, base, system_message=settings.system_message, sampling=sampling, now=datetime.now(UTC))
        hot_swap = HotSwap(db, audit, live, settings.data_folder / "runs")
        hot_swap.sync_once(now=datetime.now(UTC))
        questions = draw_default_questions(_GUARD_QUESTIONS, seed=1, system_message=settings.system_message)
        supervisor = Supervisor(
            db,
            audit,
            settings.data_folder / "runs",
            make_plan(questions, system_message=settings.system_message),
            served=_describe_base(base, settings, sampling),
            recipe=read_recipe(settings.recipe),
            schedule=_read_schedule(settings),
        )
        try:
            yield Errata(db=db, audit=audit, live=live, hot_swap=hot_swap, supervisor=supervisor)
        finally:
            supervisor.stop()


def _describe_base(base: BaseModel, settings: Settings, sampling: Sampling) -> ServedBase:
    return ServedBase(
        name=base.name,
        revision=base.revision,
        quantisation=base.quantisation,
        template_hash=hash_template(base.tokenizer),
        system_message=settings.system_message,
        device=settings.device,
        sampling=asdict(sampling),
        context_tokens=base.context_tokens,
        count_tokens=lambda messages: count_prompt_tokens(base.tokenizer, messages),
    )


def _read_schedule(settings: Settings) -> SchedulePolicy:
    return SchedulePolicy(
        cron=settings.schedule_cron,
        zone=settings.schedule_zone,
        least_examples=settings.schedule_least_examples,
        cool_down=timedelta(minutes=settings.schedule_cool_down_minutes),
        quiet_from=settings.quiet_from,
        quiet_until=settings.quiet_until,
    )
