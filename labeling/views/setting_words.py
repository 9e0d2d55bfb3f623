"""What follows from the present value of a project's settings, in sentences."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.actions.onboarding_texts import tellable
from labeling.models import Assistance, LanguageQueues, OnAlarm, Project, Question, RetrievalQuery


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def one_in(share: float, never: str, always: str, some: str) -> str:
    """`some` names the share as %(share)s."""
    if share <= 0.0:
        return never
    return always if share >= 1.0 else some % {"share": percent(share)}


def question(project: Project) -> str:
    if project.question == Question.BINARY:
        return _("Validators and people say yes or no to the best label; a no asks for another.")
    return _("Validators and people choose among the candidates.")


def conf(project: Project) -> str:
    if project.allow_conf:
        return _("An answer may name several labels. Such an answer never trains a machine.")
    return _("Every answer names one label, or says that nobody can choose.")


def needed(project: Project) -> str:
    if project.answers_needed == 1:
        return _("One answer settles a task; nobody looks at it again.")
    return _("A task is settled when %(n)d people gave the same answer.") % {
        "n": project.answers_needed
    }


def at_most(project: Project) -> str:
    return ngettext(
        "After %(n)d answer without enough agreement an expert decides.",
        "After %(n)d answers without enough agreement an expert decides.",
        project.answers_at_most,
    ) % {"n": project.answers_at_most}


def confirm(project: Project) -> str:
    if project.confirm_answers:
        return _("A key chooses, Enter sends: slower, with fewer slips.")
    return _("A key answers at once; the last answers can be taken back.")


def onboarding(project: Project) -> str:
    if not project.onboarding_tasks:
        return _("New members label at once.")
    there = tellable(project).count()
    said = ngettext(
        "%(n)d text is there to take rounds from: chosen ones, and those of the part “fit”.",
        "%(n)d texts are there to take rounds from: chosen ones, and those of the part “fit”.",
        there,
    )
    return said % {"n": there}


def pass_mark(project: Project) -> str:
    return _("Below %(share)s another round comes, or an admin lets the member in.") % {
        "share": percent(project.onboarding_pass_mark)
    }


def languages(project: Project) -> str:
    if project.language_queues == LanguageQueues.FIRST:
        return _("Texts in the languages that somebody reads come to them first, others after.")
    if project.language_queues == LanguageQueues.ONLY:
        return _(
            "Texts come only to people who read their language, or who name none. The overview "
            "tells admins what nobody reads."
        )
    return _("Texts come to everybody, whatever their language.")


def daily_goal(project: Project) -> str:
    if not project.daily_goal:
        return _("Nobody is shown a goal, but for members who have their own.")
    return ngettext(
        "People see how far they are towards %(n)d answer a day.",
        "People see how far they are towards %(n)d answers a day.",
        project.daily_goal,
    ) % {"n": project.daily_goal}


def duplicates(project: Project) -> str:
    if project.resolve_duplicates:
        return _("Texts that are the same are labeled once.")
    return _("Each text is labeled by itself, also where another is the same.")


def lease(project: Project) -> str:
    return ngettext(
        "Somebody who leaves a task without an answer keeps it from others for %(n)d minute.",
        "Somebody who leaves a task without an answer keeps it from others for %(n)d minutes.",
        project.lease_minutes,
    ) % {"n": project.lease_minutes}


def assistance(project: Project) -> str:
    said = {
        Assistance.SHOWN: _(
            "Documents, verdicts and reasons stand beside the text from the start."
        ),
        Assistance.AFTER_FIRST: _("They are shown after the first answer, which may be changed."),
        Assistance.HIDDEN: _("People see the text and the candidates alone."),
    }
    return said[Assistance(project.assistance)]


def scores(project: Project) -> str:
    if project.show_scores:
        return _("Probabilities stand beside the candidates wherever help is shown.")
    return _("Candidates are shown without probabilities.")


def blind(project: Project) -> str:
    return one_in(
        project.blind_share,
        _("No task is blind, so nobody can tell how far people follow the machines."),
        _("Every task is blind: nobody sees what machines said."),
        _("%(share)s of the tasks are blind; their answers measure how far people follow."),
    )


def gold(project: Project) -> str:
    return one_in(
        project.gold_share,
        _("People are not measured by settled texts."),
        _("All that regular annotators get is settled already: nothing new is labeled."),
        _("%(share)s of what a regular annotator gets is settled already, and measures them."),
    )


def repeat(project: Project) -> str:
    return one_in(
        project.repeat_share,
        _("Nobody is asked twice, so nobody's consistency is known."),
        _("All that annotators get they have answered before: nothing new is labeled."),
        _("%(share)s of the tasks come again to who answered them before."),
    )


def repeat_after(project: Project) -> str:
    return ngettext(
        "A task comes again after %(n)d day at the earliest.",
        "A task comes again after %(n)d days at the earliest.",
        project.repeat_after_days,
    ) % {"n": project.repeat_after_days}


def agreement(project: Project) -> str:
    return _("A part whose experts agree less than %(n).4g certifies nothing until looked at.") % {
        "n": project.least_agreement
    }


def target(project: Project) -> str:
    return _(
        "A policy fitted from now on accepts where about %(share)s of its labels are right. "
        "This is tuned; only a certificate promises."
    ) % {"share": percent(project.target_accuracy)}


def mass(project: Project) -> str:
    return _(
        "An answer counts if at least %(share)s of the validator's probability lies on the options."
    ) % {"share": percent(project.least_mass)}


def audit(project: Project) -> str:
    return one_in(
        project.audit_share,
        _("Nothing is audited: an error of the machines shows up nowhere."),
        _("Everything that machines accept is answered again by people."),
        _("%(share)s of the accepted tasks are answered blind by people."),
    )


def check(project: Project) -> str:
    if project.audit_check_share >= 1.0:
        return _("Experts answer every audit.")
    return _(
        "Regular annotators answer first; experts see every disagreement and %(share)s of the "
        "agreements."
    ) % {"share": percent(project.audit_check_share)}


def audit_days(project: Project) -> str:
    return ngettext(
        "An audit that waits for more than %(n)d day keeps the state from being green.",
        "An audit that waits for more than %(n)d days keeps the state from being green.",
        project.audit_days,
    ) % {"n": project.audit_days}


def delta(project: Project) -> str:
    return _("Of policies that keep their promise, %(share)s may ever raise an alarm.") % {
        "share": percent(project.monitor_delta)
    }


def alarm(project: Project) -> str:
    if project.on_alarm == OnAlarm.PAUSE:
        return _("After an alarm nothing is accepted until an admin has looked.")
    return _("After an alarm a stricter version takes over, and accepts less.")


def retrieve(project: Project) -> str:
    if project.retrieve_for == RetrievalQuery.TEXT:
        return _("Documents are found by the words and the meaning of the text.")
    return _("Documents are found by what the candidates are called and described as.")


def found(project: Project) -> str:
    return _("Of %(found)d documents found, the best %(kept)d are kept.") % {
        "found": project.documents_found,
        "kept": project.documents_kept,
    }


def similarity(project: Project) -> str:
    if project.least_similarity <= 0.0:
        return _("The best documents are kept, however little they fit.")
    return _("Documents with a cosine below %(n).4g are left out, even if none is left.") % {
        "n": project.least_similarity
    }


def tokens(project: Project) -> str:
    if project.budget_tokens is None:
        return _("A run may read as many tokens as it takes.")
    return _("A run whose LLMs have read %(n)d tokens asks them no more; people get the rest.") % {
        "n": project.budget_tokens
    }


def money(project: Project) -> str:
    if project.budget_money is None:
        return _("A run may cost what it takes.")
    return _("A run whose LLMs have cost %(n).6g %(currency)s asks them no more.") % {
        "n": project.budget_money,
        "currency": project.currency,
    }


def seconds(project: Project) -> str:
    if project.seconds_per_answer is None:
        return _("Hours saved are counted with the median of the newest answers.")
    return _("Hours saved are counted with %(n).4g seconds an answer.") % {
        "n": project.seconds_per_answer
    }


def rate(project: Project) -> str:
    if project.hourly_rate is None:
        return _("The quality page counts hours, not money.")
    return _("The quality page counts %(n).6g %(currency)s an hour.") % {
        "n": project.hourly_rate,
        "currency": project.currency,
    }


def outside(project: Project) -> str:
    if project.allow_outside_hosts:
        return _("Texts may leave for other hosts, of those that the installation allows.")
    return _("Texts stay on this host; validators elsewhere are not asked.")
