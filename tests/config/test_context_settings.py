import pytest

from kugetsu.config import ContextSettings


def test_conversations_are_pruned_unless_somebody_says_no() -> None:
    settings = ContextSettings()
    assert 0 < settings.prune_to < settings.prune_at < 1
    assert settings.keep_turns >= 1
    assert settings.recall
    assert ContextSettings(prune_at=0).prune_at == 0


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"prune_at": 1.0}, "`prune_at` must be from 0 .never. to 0.95, got 1"),
        ({"prune_at": -0.1}, "`prune_at`"),
        ({"prune_to": 0.8}, "`prune_to` must be above 0 and below `prune_at` .0.8., got 0.8"),
        ({"prune_to": 0.0}, "`prune_to`"),
        ({"keep_turns": 0}, "`keep_turns` must be 1 or more, got 0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(values: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ContextSettings(**values)  # type: ignore[arg-type] # numbers all
