"""Coarse-grained force fields, their derivation from reference MD, and the systems that use them."""
