"""Times as Python has them, and as they go over the line."""

from __future__ import annotations

import datetime
from typing import Optional

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def moment(t: Timestamp) -> datetime.datetime:
    return t.ToDatetime(datetime.timezone.utc)


def timestamp(t: Optional[datetime.datetime]) -> Optional[Timestamp]:
    if t is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(t)
    return stamp


def duration(seconds: float) -> Duration:
    d = Duration()
    d.FromTimedelta(datetime.timedelta(seconds=seconds))
    return d
