"""Every constant of the alarms, its source, and what changes when it moves.

"Measured" is on the made-up brands of `benchmarks/detectors.py`: what is said of the constants as
they are is printed there, what is said of others was seen when they were chosen.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """When an alarm is raised, how it escalates, and when it ends."""

    page: float = 10.0
    """Score of a surge of complaints that pages. A CUSUM of log likelihood ratios has about
    exp(-score) false alarms a step; 10 measured under one in 90 brand-days at 0.3, 2 and 20
    complaints an hour. Lower: faster, and more often for nothing."""
    ticket: float = 7.0
    """Score of a surge that opens a ticket: measured one to three in 90 brand-days."""
    surge: float = 2.5
    """The rise that the test is built for, in times the usual: the nearer the true rise, the
    faster (Hawkins and Olwell 1998). 2 measured slower for rises of 3 and 6, and
    more often alarmed by busy days; 4 missed most doublings of small brands."""
    ease: float = 2.0
    """Below this score a surge is over. Nearer to `ticket`: alarms end sooner, and flap."""
    headroom: float = 2.0
    """How far above `page` the score may climb: what must be climbed down again at the end."""
    fade: float = 24.0
    """Hours in which the score of a raised alarm halves by itself. At 0.3 complaints an hour an
    alarm would otherwise outlive its cause by three days, since so few say little."""
    patience: int = 6
    """Ticks in a row that must be calm before an alarm ends: an hour, so that none flaps."""

    warm_up: float = 72.0
    """Hours after its first post in which a brand's complaints, share and index raise no alarm:
    each hour of the day is then known from three days, and the index has found its place. A surge
    within it is taken for usual. Shorter: the first weeks alarm for nothing."""
    youth: float = 1.0
    """How much more is expected while little is known: the usual is taken 1 + youth / (1 + days
    seen of this kind, working days or weekend) times as high. 0 measured up to twice as
    many false alarms in the days 4 to 14; more makes young brands deaf to doublings."""
    sleep: float = 28 * 24.0
    """Hours without a post after which a brand is forgotten, to be learnt anew later. What was
    learnt has then lost 15/16 of its weight."""

    level_life: float = 7 * 24.0
    """Hours in which the weight of the past in the usual level halves. Shorter follows drift, and
    creeping crises with it: 4 days measured slower for small rises, 14 days about the same."""
    level_authors: float = 0.5
    """Complaints that a new brand is given before it has any..."""
    level_hours: float = 12.0
    """...in this many hours: one a day. Both move only the first days of a brand."""
    least: float = 0.05
    """Complaints an hour below which the usual is never taken, else a dozen people within
    some weeks would page for a forgotten brand. Higher: small brands page later."""
    alarmed: float = 0.5
    """Speed of learning during an alarm. 1: a long crisis soon counts as usual; 0: a lasting
    change keeps its alarm for ever. At 0.5 a lasting doubling is usual in two to three weeks."""
    wild: float = 3.0
    """Standard deviations above which an hour teaches no more than that (Winsor). Lower: the level
    is too low for brands with bursts; higher: single bursts lift it."""
    season_life: float = 28 * 24.0
    """Hours in which the weight of the past in the season halves: four of each weekday."""
    season_prior: float = 12.0
    """Complaints that pull each hour's season towards that of the other kind of day, and that one
    towards none. Lower: small brands learn chance; higher: a steep morning pages."""
    spread_life: float = 28 * 24.0
    """Hours in which the memory of how bursty a brand is halves."""
    spread: float = 0.5
    """1/k of the negative binomial for a new brand, by the hour: how bursty it is..."""
    spread_prior: float = 25.0
    """...and how many squared complaints' worth of evidence stand behind that. The estimate is
    essential: where bursts are taken for independent people, each of them is an alarm."""
    spread_most: float = 30.0
    """Bound of 1/k."""
    spread_least: float = 0.02
    """Bound of 1/k: no brand is taken for a pure Poisson process."""

    odds: float = 2.0
    """The rise of the odds of a negative post that the test of the share is built for."""
    share_page: float = 15.0
    """Score at which the share of negative posts pages; see `page`. Higher than there: the share
    alone is less urgent, and 12 measured a false one in 90 brand-days at 20 complaints an hour."""
    share_ticket: float = 9.0
    """Score at which it opens a ticket."""
    share_life: float = 14 * 24.0
    """Hours in which the weight of the past in the usual share halves."""
    share_posts: float = 6.0
    """Posts that a new brand is given before it has any..."""
    share_negative: float = 2.0
    """...and how many of them are negative."""
    share_spread: float = 1.5
    """Variance of the share over that of a coin, for a new brand: people answer each other..."""
    share_prior: float = 25.0
    """...and the variance of how many posts stands behind that."""

    drop_page: float = 8.0
    """Points that the index must lose within a day, with intervals that do not touch, to page.
    The fall of Home Depot in 2014 was 10 points, of Equifax 16.5."""
    drop_ticket: float = 5.0
    """The same for a ticket."""
    drop_ease: float = 3.0
    """Points of loss below which the fall is over."""

    leak_life: float = 6.0
    """Hours in which the heat of a leak story halves: how many groups of witnesses joined
    lately. Longer: slow stories page too, and so do strays that pile up."""
    leak_page: float = 4.5
    """Heat at which a grave story (severity 3 or 4) pages: some five groups in half an hour, six
    in six hours. A classifier with three strays a day, each a group of one grave story, measured
    under 0.1 pages in 90 days; 3.5 measured 0.3, and was not an hour faster."""
    leak_flood: float = 7.0
    """Heat at which a lesser story (severity 2) pages: it grows too fast to wait."""
    leak_ticket: float = 1.5
    """Heat at which a story of severity 2 or more opens a ticket: two groups within an hour."""
    leak_usual: float = 3.0
    """How many times the brand's usual heat must be exceeded by those: a classifier that errs
    each day lifts its own bar. 0: large brands page by chance."""
    leak_memory: float = 14 * 24.0
    """Hours in which the memory of the usual heat halves."""
    leak_prior: float = 7 * 24.0
    """Hours without any that a new brand is given. Lower: the first witnesses lift the bar; higher:
    the strays of a classifier open tickets for longer, until they are known."""
    leak_talk: float = 4.0
    """Mentions that keep a leak alarm open: it ends a day after a lively story's last one, half a
    day after a single one."""
    leak_ease: float = 0.25
    """Below this much of such talk the alarm is over."""
