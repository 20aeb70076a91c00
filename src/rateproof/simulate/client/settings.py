"""Options of the client, and the scenario that comes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from rateproof.simulate.scenario import Scenario
from rateproof.simulate.scenario_file import GroupPlan, ScenarioFile, load
from rateproof.simulate.transports import default_name, named

_WITHOUT_FILE = ScenarioFile(Path(), (GroupPlan(),), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Options of `rateproof simulate`.

    Args:
        scenario_file: what to run, where `values` do not say otherwise.
        values: arguments of `ScenarioFile.scenario`; without a number of `clients` and a
            file, a person at the terminal is asked, and without one there are 10.
        transport: name of what sends; None: the native one where there is one.
        threads: of the native transport; None: as many as it finds good.
        on: the cluster whose workers send; None: this process does.
        log: file for every event; None for none.
        json: the summary as one JSON object.
        yes: do not ask before sending to another machine.
        plain: a line of figures instead of the view, on a terminal too.
    """

    scenario_file: Path | str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    transport: str | None = None
    threads: int | None = None
    on: str | None = None
    log: str | None = None
    json: bool = False
    yes: bool = False
    plain: bool = False

    @classmethod
    def told(cls, **values: Any) -> Self:
        """Make them of the values of the verb's options."""
        names = {each.name for each in fields(cls)}
        own = {name: value for name, value in values.items() if name in names}
        others = {name: value for name, value in values.items() if name not in {*names, "command"}}
        return cls(**own, values=others)

    @property
    def asks_clients(self) -> bool:
        """True if nothing tells how many clients there are to be."""
        return self.values.get("clients") is None and self.scenario_file is None

    def scenario(self, **overrides: Any) -> Scenario:
        """The scenario of the file and the flags.

        Args:
            overrides: arguments of `ScenarioFile.scenario` that go before both.

        Raises:
            InvalidArgument: what the file, a value or their combination
                makes impossible.
        """
        base = _WITHOUT_FILE if self.scenario_file is None else load(self.scenario_file)
        return base.scenario(**{**self.values, **overrides})

    @property
    def transport_in_use(self) -> str:
        """The name of the transport."""
        return self.transport or ("native" if self.on else default_name())

    def check(self) -> None:
        """Make sure that there is such a transport.

        Raises:
            InvalidArgument: see `named`.
        """
        named(self.transport_in_use, threads=self.threads, on=self.on)
