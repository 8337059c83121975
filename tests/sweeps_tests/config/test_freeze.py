import pytest
from omegaconf import OmegaConf
from unstuck.records.errors import SweepError
from unstuck.sweeps.config.freeze import check_keys

from tests.composing import composed


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+new=1", "unknown setting new; --help lists settings"),
        ("+deep.er.lr=1", "unknown setting deep.er.lr; did you mean ppo.lr?"),
        ("++ppo.zzz=1", "unknown setting ppo.zzz; did you mean ppo.lr?"),
        ("+ppo.empty={}", "unknown setting ppo.empty; did you mean"),
        ("+data/x=1", "unknown setting data/x; did you mean data?"),
    ],
)
def test_keys_that_hydra_lets_through_are_refused(override: str, message: str) -> None:
    tree = OmegaConf.to_container(composed(override))  # the wrong variant: Hydra alone is content
    with pytest.raises(SweepError, match=r"^unknown setting") as caught:
        check_keys(tree)
    assert str(caught.value).startswith(message)


def test_what_is_free_in_form_has_no_unknown_keys() -> None:
    cfg = composed("+space.anything.goes=1", "sampler.points=[{any: {thing: 2}}]", "~space.ppo.lr")
    check_keys(OmegaConf.to_container(cfg))
