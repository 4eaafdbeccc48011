"""Freezing layers: both readings of clause 5.3, layers by name, and what a policy picks."""

import pytest
from grid_samples import grid
from torch import nn

from nmc_framework.training import (
    FreezingError,
    LayerChoice,
    back,
    freeze,
    front,
    matching,
)
from nmc_framework.training.auto import LayerWorth, least_missed


def stack():
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))


@pytest.mark.parametrize("reading", ["table", "code"])
def test_both_readings_of_exclude_layers(reading):
    model = stack()
    done = freeze(model, list(model), [0, 2], reading)
    learning = [layer.weight.requires_grad for layer in model]
    assert learning == (
        [False, True, False, True] if reading == "table" else [True, False, True, False]
    )
    assert done.exclude_layers == ((0, 2) if reading == "table" else (1, 3))
    assert done.requires_grad == {n: p.requires_grad for n, p in model.named_parameters()}


def test_parameters_outside_the_layers():
    model = stack()
    assert all(freeze(model, list(model)[:2], [0]).requires_grad[f"{i}.weight"] for i in (1, 2, 3))
    code = freeze(model, list(model)[:2], [0], "code").requires_grad
    assert [code[f"{i}.weight"] for i in range(4)] == [True, False, False, False]


def test_freezing_again_starts_afresh():
    model = stack()
    freeze(model, list(model), [0, 1])
    assert freeze(model, list(model), [3]).requires_grad["0.weight"]


def test_layers_by_front_back_and_name():
    model = stack()
    assert front(list(model), 2) == (0, 1) and back(list(model), 1) == (3,)
    field = grid()
    assert matching(field, field.layers(), "levels.*") == (0, 1, 2)
    with pytest.raises(FreezingError, match="no layer is named like 'conv"):
        matching(field, field.layers(), "conv*")
    with pytest.raises(FreezingError, match="cannot take 5 of 4"):
        front(list(model), 5)


@pytest.mark.parametrize(
    ("layers", "reading", "message"),
    [
        ([4], "table", "layer 4, but the model has layers 0 to 3"),
        ([1, -3], "table", "layer 1 twice"),
        ([0, 1, 2, 3], "table", "nothing is left to learn"),
        ([], "code", "nothing is left to learn"),
    ],
)
def test_bad_layer_lists_are_named(layers, reading, message):
    model = stack()
    with pytest.raises(FreezingError, match=message):
        freeze(model, list(model), layers, reading)


def test_a_shared_parameter_is_frozen_with_either_layer():
    model = stack()
    model[3].weight = model[0].weight
    done = freeze(model, list(model), [0])
    assert not model[3].weight.requires_grad and done.requires_grad["3.bias"]


def test_layers_that_promise_least_a_byte_are_frozen_within_the_budget():
    worth = [LayerWorth(5.0, 10), LayerWorth(0.2, 100), LayerWorth(0.5, 10), LayerWorth(4.3, 10)]
    assert least_missed(worth, 0.0) == ()
    assert least_missed(worth, 0.02) == (1,)
    assert least_missed(worth, 0.1) == (1, 2)
    assert least_missed(worth, 0.99) == (1, 2, 3)
    assert least_missed([LayerWorth(0.0, 4), LayerWorth(0.0, 4)], 0.5) == (0,)


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (LayerChoice(), ()),
        (LayerChoice(numbers=(0, -1)), (0, -1)),
        (LayerChoice(front=2), (0, 1)),
        (LayerChoice(back=1), (len(grid().layers()) - 1,)),
        (LayerChoice(like="levels.*"), (0, 1, 2)),
    ],
)
def test_layers_are_chosen_in_one_way_only(choice, chosen):
    assert choice.of(grid()) == chosen
    with pytest.raises(FreezingError, match="by numbers, from the front, the back or by name"):
        LayerChoice(front=1, like="x")
