"""Both ends of a line of messages: each keeps what it has, whatever is refused."""

import numpy as np
import pytest
from nmc_samples import chain, same_state

import nmc
from nmc_format import message as syntax


def test_both_ends_keep_what_they_have():
    states = chain(7)
    sender, receiver = nmc.Sender(key_every=3), nmc.Receiver()
    working = {name: array.copy() for name, array in states[0].items()}
    keys = []
    for state in states:
        for name, array in state.items():
            working[name][...] = array  # in place, as training does
        message = sender.send(working)
        keys.append(bool(syntax.parse(message, 3).rows))
        assert same_state(receiver.receive(message), state)
        assert sender.digest == receiver.digest
    assert keys == [True, False, False, True, False, False, True]


def test_a_receiver_that_refuses_goes_on_where_it_was():
    a, b, c = chain(3)
    sender, receiver = nmc.Sender(), nmc.Receiver()
    assert sender.digest is receiver.digest is None
    receiver.receive(sender.send(a))
    lost, late = sender.send(b), sender.send(c)
    for wrong in (late, lost[:-1], lost[:200] + b"\1" + lost[201:]):
        with pytest.raises(nmc.FormatError):
            receiver.receive(wrong)
        assert same_state(receiver.state, a)
    receiver.receive(lost)
    assert same_state(receiver.receive(late), c)
    late_comer = nmc.Receiver()
    assert same_state(late_comer.receive(sender.send(c, key=True)), c)


def test_a_sender_that_refuses_goes_on_where_it_was():
    a, b = chain(2)
    sender, receiver = nmc.Sender(), nmc.Receiver()
    receiver.receive(sender.send(a))
    with pytest.raises(nmc.FormatError):
        sender.send({**b, "text": np.array(["x"])})
    assert same_state(receiver.receive(sender.send(b)), b)
