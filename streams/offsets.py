"""What a consumer can be asked about partitions that it need not own."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition

PATIENCE = 5.0
"""Longest wait for an answer, in seconds."""


class Offsets:
    """Mixed into a consumer of Faust's: where topics end, and how far its group has come.

    Asked in the consumer's own thread, past its queue: there, each call waits for the fetch before.
    """

    _thread: Any

    async def ends(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the offsets after the last records of a topic.

        Raises:
            aiokafka.errors.KafkaError: the broker refused.
            TimeoutError: it did not answer in time.
        """
        tps = [TopicPartition(topic, partition) for partition in partitions]
        found = await self._answer(self._client.end_offsets(tps))
        return {tp.partition: end for tp, end in found.items()}

    async def done(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the offsets up to which the group has worked a topic off.

        What was removed unread counts as worked off.

        Raises:
            aiokafka.errors.KafkaError: the broker refused.
            TimeoutError: it did not answer in time.
        """
        tps = [TopicPartition(topic, partition) for partition in partitions]
        begins = await self._answer(self._client.beginning_offsets(tps))
        read = [await self._answer(self._client.committed(tp)) for tp in tps]
        return {tp.partition: max(begins[tp], at or 0) for tp, at in zip(tps, read, strict=True)}

    @property
    def _client(self) -> Any:
        return self._thread._ensure_consumer()  # noqa: SLF001 -- Faust asks for what it owns only

    async def _answer(self, question: Any) -> Any:
        asked = asyncio.run_coroutine_threadsafe(question, self._thread.thread_loop)
        return await asyncio.wait_for(asyncio.wrap_future(asked), PATIENCE)
