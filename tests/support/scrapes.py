"""What Prometheus reads of an answer of `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


class Scrape:
    """The samples of an answer."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {sample.name for sample in self._samples}

    def series(self, name: str, **labels: str) -> list[Sample]:
        """The samples of this name that have these labels, and maybe others."""
        return [it for it in self._samples if it.name == name and labels.items() <= it.labels.items()]

    def value(self, name: str, **labels: str) -> float:
        """The value of the only sample of this name with these labels; 0 when there is none."""
        found = self.series(name, **labels)
        assert len(found) < 2, found
        return found[0].value if found else 0
