"""The packed coordinates of an XTC frame, walked through without unpacking them, so that damage is found before that.

The library that unpacks them trusts them: runs of particles that go on behind the last one, or a table index that
leaves its table, make it write where it may not, or divide by zero. After the head come, bit by bit: a particle of
`bits` bits; a 1 and five bits if the length of runs or the table index changes, else a 0; and the particles of the run,
each of as many bits as the index. The five bits are 3 r + s: a run of r particles, and the index less 1, as it was, or
more 1, as s is 0, 1, 2.
"""

__all__ = ["FIRST_SMALL", "LAST_SMALL", "stream_fits"]

# Of the table of sizes; the first ones are zero.
FIRST_SMALL, LAST_SMALL = 9, 72
# From this range of a coordinate on, each is packed on its own.
LARGE = 0xFFFFFF
STRIDE = 7


def stream_fits(stream, n_atoms, least, most, small):
    """Whether packed coordinates are those of so many particles, and end where they should.

    Parameters
    ----------
    stream : bytes
    n_atoms : int
    least, most : sequence of int
        Range of the integers in x, y and z.
    small : int
        Index of the table of sizes to begin with.
    """
    if not FIRST_SMALL <= small <= LAST_SMALL:
        return False
    sizes = [b - a + 1 for a, b in zip(least, most, strict=True)]
    # As the library has them, in 32 bits.
    if min(sizes) < 1 or max(sizes) >= 1 << 31:
        return False
    if max(sizes) > LARGE:
        bits = sum(size.bit_length() for size in sizes)
    else:
        bits = (sizes[0] * sizes[1] * sizes[2]).bit_length()
    at, end, done, run = 0, 8 * len(stream), 0, 0
    # Two bytes are looked at, of which the last may be one after the end.
    stream += b"\0\0"
    while done < n_atoms:
        at += bits
        if at >= end:
            return False
        word = (stream[at >> 3] << 16 | stream[(at >> 3) + 1] << 8) << (at & 7)
        change = 1
        if word & 0x800000:
            code = word >> 18 & 31
            change = code % 3
            run = code // 3
            at += 6
        else:
            at += 1
        done += 1 + run
        at += run * small
        small += change - 1
        if not FIRST_SMALL <= small <= LAST_SMALL:
            # Behind the last particle it is not used.
            return done == n_atoms and at <= end
    return done == n_atoms and at <= end
