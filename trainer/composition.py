"""The product, composed over one data folder: whoever needs a model, the memory and the loop together starts here."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from assistant.answering import Answering
from assistant.api.completions import Completions
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.limits import EngineLimits
from assistant.engine.live import LiveAssistant
from assistant.engine.rendering import count_prompt_tokens, hash_template
from assistant.engine.reply import Sampling
from assistant.hot_swap import HotSwap, deploy_base
from assistant.settings import BUNDLED_BASE, Settings
from feedback_db.audit import Audit
from feedback_db.chosen_settings import choose_settings, read_chosen_settings
from feedback_db.database import Database
from feedback_db.recipe import read_recipe
from feedback_db.records import PersonId
from feedback_db.text_checks import check_text
from trainer.guard import draw_default_questions
from trainer.memory import open_memory
from trainer.planning import Plan, ServedBase, make_plan
from trainer.schedule import SchedulePolicy
from trainer.supervision.supervisor import Supervisor

_GUARD_QUESTIONS = 1500  # of which some two fifths may watch what must stay, and the others are rehearsed
_SAVING_S = 60.0  # how long a trainer may take to save and end
_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Errata:
    """The running product."""

    settings: Settings
    db: Database
    audit: Audit
    live: LiveAssistant
    answering: Answering
    completions: Completions
    hot_swap: HotSwap
    supervisor: Supervisor

    def change_settings(self, chosen: Mapping[str, Any], *, actor: PersonId, now: datetime) -> None:
        """Keep what an admin chose, and go on by it at once.

        Raises:
            SettingsError: something cannot be chosen, or a value is out of range.
            HostileTextError: the system message holds characters that nobody sees.
        """
        settings = self.settings.choose(chosen)
        if settings.system_message:
            check_text(settings.system_message, what="a system message", max_chars=len(settings.system_message))
        with self.db.write() as tx:
            choose_settings(tx, chosen, person_id=actor, now=now)
            self.audit.append(
                tx, actor=actor, action="change_settings", subject="settings", details={"names": ", ".join(sorted(chosen))}, now=now
            )
        self.settings = settings
        _deploy(self.db, self.audit, self.live.base, settings, now)
        self.supervisor.reconfigure(
            _make_plan(settings), served=_describe_base(self.live.base, settings), schedule=_read_schedule(settings), now=now
        )


@contextmanager
def open_errata(settings: Settings, *, ends_trainer: bool = False) -> Iterator[Errata]:
    """Load the base, open the memory, serve what is deployed; at the end a run under way goes on, and the next start adopts it.

    With `ends_trainer` it is saved and ended, and the next start resumes it.

    Raises:
        AssistantError, FeedbackError: the base cannot be loaded, or the memory not be opened.
    """
    with ExitStack() as stack:
        db, audit = stack.enter_context(open_memory(settings))  # first, for it is quick to say that another process has it
        settings = settings.choose(read_chosen_settings(db.read()))
        base = load_base_model(settings.base or BUNDLED_BASE, device=settings.device)
        live = stack.enter_context(LiveAssistant(base, _limit_engine(settings)))
        _deploy(db, audit, base, settings, datetime.now(UTC))
        answering = Answering(db, live, lambda: datetime.now(UTC))
        stack.callback(answering.close)  # before model and memory: what was said until then is logged
        completions = Completions(
            db,
            live,
            runs_folder=settings.data_folder / "runs",
            client_system=settings.client_system_message,
            most_a_key=settings.replies_a_key,
        )
        stack.callback(completions.close)
        hot_swap = HotSwap(db, audit, live, settings.data_folder / "runs")
        hot_swap.sync_once(now=datetime.now(UTC))
        supervisor = Supervisor(
            db,
            audit,
            settings.data_folder / "runs",
            _make_plan(settings),
            served=_describe_base(base, settings),
            recipe=read_recipe(settings.recipe),
            schedule=_read_schedule(settings),
        )
        try:
            yield Errata(
                settings=settings,
                db=db,
                audit=audit,
                live=live,
                answering=answering,
                completions=completions,
                hot_swap=hot_swap,
                supervisor=supervisor,
            )
        finally:
            if ends_trainer and not supervisor.end_trainer(wait_s=_SAVING_S):
                _log.warning("The trainer did not end within %s s. It goes on, and the next start adopts it.", round(_SAVING_S))
            supervisor.stop()


def _limit_engine(settings: Settings) -> EngineLimits:
    return EngineLimits(
        rows=settings.replies_at_once,
        waiting=settings.replies_waiting,
        slots=settings.loaded_adapters,
        prefix_mb=settings.kept_prefix_mb,
    )


def _sample(settings: Settings) -> Sampling:
    return Sampling(max_tokens=settings.max_reply_tokens)


def _deploy(db: Database, audit: Audit, base: BaseModel, settings: Settings, now: datetime) -> None:
    deploy_base(db, audit, base, system_message=settings.system_message, sampling=_sample(settings), now=now)


def _make_plan(settings: Settings) -> Plan:
    questions = draw_default_questions(_GUARD_QUESTIONS, seed=1, system_message=settings.system_message)
    return make_plan(questions, system_message=settings.system_message)


def _describe_base(base: BaseModel, settings: Settings) -> ServedBase:
    return ServedBase(
        name=base.name,
        revision=base.revision,
        quantisation=base.quantisation,
        template_hash=hash_template(base.tokenizer),
        system_message=settings.system_message,
        device=settings.device,
        sampling=asdict(_sample(settings)),
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
