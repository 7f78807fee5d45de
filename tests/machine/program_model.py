"""The bank of examples/bank.py once more, as plainly as can be: the model's state machine of users'
own."""

from __future__ import annotations

import json
from typing import Any


class Banking:
    """Accounts, and what the machine says of `call`, `ask` and `program`."""

    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}
        self.banking = False

    def program(self, *_: Any) -> list[str]:
        self.banking = True
        return ["null"]

    def call(self, _name: str, method: str, arguments: str) -> tuple[Any, ...]:
        if not self.banking:
            return ("unsupported",)
        *names, amount = json.loads(arguments)
        if type(amount) is not int or amount <= 0:
            return ("rejected",)
        if method == "deposit":
            (name,) = names
            self.accounts[name] = self.accounts.get(name, 0) + amount
            return "ok", [str(self.accounts[name])]
        payer, payee = names
        if payer not in self.accounts or payee not in self.accounts:
            return ("rejected",)
        if payer != payee and self.accounts[payer] < amount:
            return ("rejected",)
        self.accounts[payer] -= amount
        self.accounts[payee] += amount
        return "ok", [str(self.accounts[payer])]

    def asked(self, _name: str, method: str, arguments: str) -> Any:
        if not self.banking:
            return None
        if method == "total":
            return [str(sum(self.accounts.values()))]
        (name,) = json.loads(arguments)
        return [json.dumps(self.accounts.get(name))]
