"""Networks of any small molecule: what they see of it and how they build it; the chemistry is in ``chemistry``."""
