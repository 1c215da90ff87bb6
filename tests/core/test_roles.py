"""Roles contain one another."""

import pytest

from alertd.core.roles import Role


def test_each_role_may_what_the_lower_ones_may() -> None:
    assert Role.ADMIN > Role.MANAGER > Role.VIEWER > Role.STAFF


@pytest.mark.parametrize("role", Role)
def test_a_role_is_read_back_from_its_word(role: Role) -> None:
    assert Role.parse(role.word) is role


@pytest.mark.parametrize("word", ["", "Admin", "root", "STAFF", " staff"])
def test_any_other_word_is_refused_with_the_choices(word: str) -> None:
    with pytest.raises(ValueError, match="must be one of admin, manager, viewer, staff"):
        Role.parse(word)
