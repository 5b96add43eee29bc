"""A plain aiokafka loop that does a worker's work, to compare with: `python -m tests.support.bare`.

It parses, matches, judges for free, sends, folds into the same book and writes the same rows, with
the settings of a worker. It has what a careful short script has: idempotent sends, and offsets
committed after the deliveries. What keeps a worker right when things go wrong it leaves out:
partitions are assigned by hand, a bad record ends it, a frozen one writes on.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.brands import BrandsFile
from streams.domain.book import Book
from streams.domain.copies import copy_key
from streams.pipeline import millis, row_of
from streams.records import Mention, Post
from streams.settings import Settings, load_settings
from streams.topics import Topics
from tests.support.free import Free, verdict

BATCH = 1_024
"""Most records in a batch: as many as a worker takes."""

_encode = msgspec.json.encode
_decode_post = msgspec.json.Decoder(Post).decode
_decode_mention = msgspec.json.Decoder(Mention).decode


class Loop:
    """Both stages over one producer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = Topics(settings)
        self._matcher = BrandsFile(settings.brands.file).matcher
        self._books = {number: Book() for number in range(settings.kafka.partitions)}

    async def run(self) -> None:
        """Work until cancelled."""
        stages = {
            "judge": (self._topics.posts, self._judge),
            "follow": (self._topics.mentions, self._follow),
        }
        async with AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka.broker,
            acks="all",
            enable_idempotence=True,
            max_batch_size=512 * 1024,
        ) as self._producer:
            names = self._settings.worker.stages
            await asyncio.gather(*(self._read(*stages[name]) for name in names))

    async def _read(self, topic: str, send: Callable[[Any], Any]) -> None:
        """Hand over batches of a topic; commit once a second what is delivered."""
        kafka = self._settings.kafka
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka.broker,
            group_id=kafka.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        ) as consumer:
            consumer.assign([TopicPartition(topic, n) for n in range(kafka.partitions)])
            committed = time.monotonic()
            while True:
                batch = await consumer.getmany(timeout_ms=200, max_records=BATCH)
                for run in batch.values():
                    await asyncio.gather(*await send(run))
                if time.monotonic() - committed > self._settings.worker.commit_interval:
                    await consumer.commit()
                    committed = time.monotonic()

    async def _judge(self, run: Sequence[Any]) -> list[Any]:
        sends = []
        for record in run:
            post = _decode_post(record.value)
            text = post.text or ""
            first = {match.brand: match for match in reversed(self._matcher.match(text))}
            if not first:
                continue
            judged = verdict(text)
            for match in first.values():
                mention = Mention(
                    brand=match.brand,
                    post=post.id,
                    at=post.created_at,
                    partition=record.partition,
                    offset=record.offset,
                    source=post.source,
                    sentiment=judged.sentiment,
                    leak=judged.leak,
                    is_leak=judged.leak >= Free.leak_threshold,
                    copy=f"{copy_key(text):016x}",
                    start=match.start,
                    end=match.end,
                    model=Free.name,
                )
                key = match.brand.encode()
                send = self._producer.send(self._topics.mentions, _encode(mention), key=key)
                sends.append(await send)
        return sends

    async def _follow(self, run: Sequence[Any]) -> list[Any]:
        sends = []
        for record in run:
            mention = _decode_mention(record.value)
            book = self._books[record.partition]
            row = row_of(mention, millis(mention.at), book.terms.rule.weights)
            for key, value in book.put(mention.brand, mention.post, row):
                send = self._producer.send(
                    self._topics.changelog, value, key=key, partition=record.partition
                )
                sends.append(await send)
        return sends


async def _work() -> None:
    work = asyncio.ensure_future(Loop(load_settings()).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    with suppress(asyncio.CancelledError):
        await work


if __name__ == "__main__":
    uvloop.run(_work())
