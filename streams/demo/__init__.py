"""The demo: a broker, a worker, three days of posts and a live view, all gone when it ends.

`play.py` tells what happens in order; `guard.py` sees to the end, `broker.py` and `worker.py` run
the two processes, `story.py` holds what is played, `board.py` hears what the topics say, `view.py`
shows it and `result.py` checks it.
"""
