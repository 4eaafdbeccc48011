"""What a server counts, as text that Prometheus reads (exposition format 0.0.4)."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Upper bounds of the histogram of seconds."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Metrics:
    """Counts of one process, from its start on."""

    started: float = field(default_factory=time.time)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    sent: int = 0
    running: int = 0
    refused: int = 0
    slow: int = 0
    connections: int = 0
    seconds: float = 0.0
    within: Counter[float] = field(default_factory=Counter)
    rendered: int = 0

    def finished(self, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests[method, status] += 1
        self.seconds += seconds
        self.within[next((bound for bound in _BOUNDS if seconds <= bound), float("inf"))] += 1

    def text(self) -> str:
        """Return all of it as text."""
        name = "nmc_serve"
        lines = [f"# HELP {name}_requests_total Requests that were answered."]
        lines.append(f"# TYPE {name}_requests_total counter")
        for (method, status), count in sorted(self.requests.items()):
            lines.append(f'{name}_requests_total{{method="{method}",code="{status}"}} {count}')
        lines.append(f"# HELP {name}_request_seconds From the header to the last byte sent.")
        lines.append(f"# TYPE {name}_request_seconds histogram")
        so_far = 0
        for bound in (*_BOUNDS, float("inf")):
            so_far += self.within[bound]
            label = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f'{name}_request_seconds_bucket{{le="{label}"}} {so_far}')
        lines.append(f"{name}_request_seconds_sum {self.seconds:.6f}")
        lines.append(f"{name}_request_seconds_count {so_far}")
        for what, kind, value, words in (
            ("sent_bytes_total", "counter", self.sent, "Bytes of bodies."),
            ("refused_total", "counter", self.refused, "Requests without a token that opens."),
            ("slow_total", "counter", self.slow, "Connections that were closed for being slow."),
            ("rendered_total", "counter", self.rendered, "Pictures that were rendered."),
            ("requests_running", "gauge", self.running, "Requests that are being answered."),
            ("connections", "gauge", self.connections, "Connections that are open."),
            ("start_time_seconds", "gauge", round(self.started, 3), "When the server started."),
        ):
            lines += [f"# HELP {name}_{what} {words}", f"# TYPE {name}_{what} {kind}"]
            lines.append(f"{name}_{what} {value}")
        return "\n".join(lines) + "\n"
