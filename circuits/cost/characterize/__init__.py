"""How the 45 nm table is made: transistor netlists, SPICE runs, measurements.

transistors           cells and gates at transistor level
spice                 runs ngspice and reads its result
spice_measurements    one cell: delays, slews, energies, capacitances, leakage of every single-input transition
characterization      the command: all cells in three corners, or a user's cell, into a table
subcircuit            a user's cell as a SPICE subcircuit
spice_netlist         a whole netlist in ngspice, the reference of the study `cost_validation`
gate_networks         the smallest network of gates for each three-input function, for estimates
"""
