"""Who may do what: admin ⊇ manager ⊇ viewer ⊇ staff."""

from enum import IntEnum


class Role(IntEnum):
    STAFF = 1
    VIEWER = 2
    MANAGER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> "Role":
        """The role of that name, or ValueError which names the choices."""
        for role in cls:
            if role.word == word:
                return role
        raise ValueError(f"must be one of {', '.join(role.word for role in reversed(cls))}")
