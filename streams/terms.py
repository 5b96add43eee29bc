"""What the settings make of the constants of the index and of the detectors."""

from dataclasses import replace

from streams.domain.evidence import Weights
from streams.domain.trust import Rule
from streams.domain.tuning import Tuning
from streams.settings import Trust


def rule_of(settings: Trust) -> Rule:
    """Return the constants of the index as they are set."""
    sources = [entry.rsplit("=", 1) for entry in settings.sources.split(",") if entry]
    return Rule(
        half_life=settings.half_life_days * 24,
        mood_half_life=settings.mood_half_life_hours,
        upkeep_half_life=settings.upkeep_half_life_days * 24,
        upkeep_share=settings.upkeep_half_life_days / settings.half_life_days,
        weights=Weights(sources=tuple((name, float(share)) for name, share in sources)),
        prior=settings.prior_weight,
        base=settings.base,
        cost=settings.cost,
    )


def tuned(page: float) -> Tuning:
    """Return detectors with another page threshold: all scores of both surges in proportion.

    >>> tuned(Tuning().page) == Tuning()
    True
    """
    usual = Tuning()
    share = page / usual.page
    return replace(
        usual,
        page=page,
        ticket=usual.ticket * share,
        share_page=usual.share_page * share,
        share_ticket=usual.share_ticket * share,
    )
