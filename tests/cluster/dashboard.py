"""What a scheduler answers that has a dashboard: a list of its plots. The real one needs bokeh."""

from __future__ import annotations

from distributed.http.utils import RequestHandler


class Plots(RequestHandler):
    """That list."""

    def get(self) -> None:
        """Of one plot."""
        self.write({"Task Stream": "/individual-task-stream"})


routes: list[tuple[str, type, dict[str, object]]] = [(r"individual-plots.json", Plots, {})]
