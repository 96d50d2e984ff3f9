"""All the operators of one engine with the arrays between them."""

from __future__ import annotations

import numpy as np

from relay.mixer.block import CEILING_DBTP, FRAME
from relay.mixer.ducking import Ducking
from relay.mixer.fade import Fade
from relay.mixer.gain import Gain
from relay.mixer.intake import Intake
from relay.mixer.matrix import Matrix
from relay.mixer.meter import Meter
from relay.mixer.operators import Operators
from relay.mixer.routing import Routing
from relay.mixer.silence import Detections


class Parts:
    """For `inputs` and `buses` rows.

    `mix` (2 · buses, FRAME): the rows of the buses, then as many in which ducking rules mix what they duck. `blank`
    says which are all zeros, `awake`, by first row, which buses are at work.
    """

    def __init__(self, inputs: int, buses: int, operators: Operators) -> None:
        self.input_meter = Meter(inputs)
        self.intake = Intake(inputs, self.input_meter)
        self.gain = Gain(inputs)
        self.fade = Fade(inputs)
        self.ducking = Ducking(buses, inputs)
        self.matrix = Matrix(inputs, 2 * buses)
        self.routing = Routing(self.matrix)
        self.mix = np.zeros((2 * buses, FRAME), np.float32)
        self.blank = np.zeros(2 * buses, np.bool_)
        self.awake = np.zeros(2 * buses, np.bool_)
        self.bus_meter = Meter(buses)
        self.silences = Detections(buses)
        self.operators = operators

    def reset_input(self, row: int) -> None:
        """Something else sounds in an input row from now on."""
        self.intake.reset(row)
        self.input_meter.reset(row)
        self.operators.filters.switch(row, False)
        self.operators.filters.reset(row)
        self.gain.reset(row)
        self.fade.reset(row)

    def reset_bus(self, first: int, channels: int) -> None:
        """Another bus has these rows from now on."""
        self.operators.leveller.reset(first, channels)
        self.operators.leveller.switch(first, False)
        self.operators.makeup.reset(first, channels)
        self.operators.makeup.switch(first, False)
        self.operators.limiter.reset(first, channels)
        self.operators.limiter.ceiling(first, CEILING_DBTP)
        self.operators.loudness.reset(first, channels)
        for row in range(first, first + channels):
            self.bus_meter.reset(row)
            self.mix[row] = 0
            self.blank[row] = True
            self.awake[row] = False
