"""A bank: money moves between accounts, and none is made or lost on the way."""

from raftzmq.state_machine import Rejected, StateMachine, query, replicated


class Bank(StateMachine):
    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}

    @replicated
    def deposit(self, name: str, amount: int) -> int:
        """Put money into an account, which is opened if there is none; return what it has."""
        _check(amount)
        self.accounts[name] = self.accounts.get(name, 0) + amount
        return self.accounts[name]

    @replicated
    def pay(self, payer: str, payee: str, amount: int) -> int:
        """Move money; return what the payer has left."""
        _check(amount)
        for name in (payer, payee):
            if name not in self.accounts:
                raise Rejected(f"there is no account {name}")
        self.accounts[payee] += amount
        self.accounts[payer] -= amount
        if self.accounts[payer] < 0:  # nothing of the above is kept
            raise Rejected(f"{payer} lacks {-self.accounts[payer]}")
        return self.accounts[payer]

    @query
    def balance(self, name: str) -> int | None:
        return self.accounts.get(name)

    @query
    def total(self) -> int:
        return sum(self.accounts.values())


def _check(amount: int) -> None:
    if type(amount) is not int or amount <= 0:
        raise Rejected("an amount is a whole number above 0")
