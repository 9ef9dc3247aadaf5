"""Reads event files with TensorBoard's own reader and prints what is in them.

    pip install tensorboard
    python tests/golden/events.py [FILE]     # without one: the committed file, whose content is compared
"""
import os
import sys

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

golden = os.path.join(os.path.dirname(__file__), "events.out.tfevents.chapbook")
path = sys.argv[1] if len(sys.argv) > 1 else golden
events = [
    (event.wall_time, event.step, event.file_version, [(v.tag, v.simple_value) for v in event.summary.value])
    for event in LegacyEventFileLoader(path).Load()
]
if path == golden:
    rate = 0.0010000000474974513  # 1e-3 as a float
    assert events == [
        (1764331200, 0, "brain.Event:2", []),
        (1764331200.5, 1, "", [("loss", 7.625), ("rate", rate)]),
        (1764331300.25, 300, "", [("valid_loss", 2.5)]),
        (1764331400, 1 << 33, "", []),
    ], events
for event in events[:10]:
    print(event)
print(len(events), "events")
