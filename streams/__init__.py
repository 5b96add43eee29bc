"""The journey of a post, from a source to the trust index.

A post arrives on the topic `posts`. Read these files in this order to follow it:

    records     what a post, a mention and a reading look like on a topic
    settings    everything that can be set, and where it came from
    topics      the topics, declared in one place
    feed        publishes posts from files
    transport   hands records to the stages in gap-free chunks, and sends in batches
    pipeline    judge: parse, match brands, classify; follow: enter the mention; watch: read
    domain      pure, without Kafka or clock: brands and matching; row, evidence, stories, trust,
                ledger, view, explain: the index; track, surge, alarms, watch: the alarms; book
    terms       what the settings make of the constants of both
    closing     which days may close, and what the broker is asked for that (`offsets`)
    tide        how far the clock on the wall may run: no further than all that waits
    tables      the books as a Faust table, rebuilt from its changelog
    worker      carries batches through the stages and counts what it does
    app         where Kafka meets the stages
    run         builds a worker from its settings and runs it
    metrics     every Prometheus series; `server` shows them and the health of the worker
    rejected    the dead letters: what could not be judged, why, and how to try again
    history     the same offline, for `backtest`, whose page is drawn by `report`
    demo        all of it on a broker of its own, with a sample crisis
"""
