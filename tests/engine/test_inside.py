"""Each promise is a `check_*` function in `inside/`, run by the engine's interpreter."""


def test_inside(promise: str, outcome: str | None) -> None:
    assert outcome is None, f"{promise}\n{outcome}"
