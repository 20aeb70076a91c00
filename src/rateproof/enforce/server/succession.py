"""One policy follows another while clients send: nobody starts anew.

A new quota's table opens empty and knows nothing of what the old one admitted.
So an old quota stays in force beside the new ones for as long as an admission
that it counted can matter to it. Of any stretch of time then holds:

- If it began before the change and is no longer than an old quota's window, it
  ends while that quota is in force: it holds what that quota allows.
- If it began after the change, every admission in it was charged to the new
  quotas: it holds what they allow.

So where the window of a sliding log stays as it is or gets shorter, no window
of the new length ever holds more than the greater of both limits. (Where it gets
longer, what came before the last old window is known to no table: the new quota
starts with that.) The price is that a looser policy is felt an old window late.
"""

from dataclasses import dataclass

from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota

LAG_NS = 1_000_000_000
"""A decision that began under the policy before has ended this long after the change."""

MAX_LEAVING = 8
"""Each has a table, is charged by every request, and is announced in every answer."""


@dataclass(frozen=True, slots=True)
class Succession:
    """The newest policy of a server, and the quotas of others that are still in force, and till when."""

    policy: Policy
    leaving: tuple[tuple[Quota, int], ...] = ()

    @property
    def in_force(self) -> Policy:
        """The policy to enforce: the newest, and the quotas that outlive theirs."""
        return Policy(self.policy.quotas + tuple(quota for quota, _ in self.leaving))

    @property
    def next_ns(self) -> int | None:
        """The instant at which the next quota ceases; None if none is leaving."""
        return min((end_ns for _, end_ns in self.leaving), default=None)

    def after(self, policy: Policy, now_ns: int) -> "Succession":
        """The same with `policy` as the newest, in force from now on.

        Raises:
            InvalidArgument: more than 8 quotas would be leaving.
        """
        ends = dict(self.at(now_ns).leaving)
        ends |= {quota: now_ns + quota.memory_ns + LAG_NS for quota in self.policy.quotas}
        leaving = tuple((quota, end) for quota, end in ends.items() if quota not in policy.quotas)
        if len(leaving) > MAX_LEAVING:
            raise InvalidArgument(
                f"{len(leaving)} quotas would hold beside {str(policy)!r}",
                f"at most {MAX_LEAVING}: wait for some to cease, or restart with the new policy",
            )
        return Succession(policy, leaving)

    def at(self, now_ns: int) -> "Succession":
        """The same without the quotas that have ceased: exactly at its end a quota has."""
        leaving = tuple((quota, end_ns) for quota, end_ns in self.leaving if end_ns > now_ns)
        return Succession(self.policy, leaving)
