"""Files damaged at random, for tests of what reads them."""

from hypothesis import strategies as st

ODD = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x80", b"0" * 40, b"[" * 40, b'"', b"-1", b"1e999")


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of `files`, with some bytes changed, cut out, doubled or put in."""
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers come first, and break in more ways than pixels.
        most = draw(st.sampled_from([40, 400, len(content)]))
        place = draw(st.integers(0, max(0, min(most, len(content)) - 1)))
        length = draw(st.integers(1, 30))
        match draw(st.sampled_from(["change", "cut", "double", "put in", "end"])):
            case "change":
                new = draw(st.binary(min_size=1, max_size=4))
                content[place : place + len(new)] = new
            case "cut":
                del content[place : place + length]
            case "double":
                content[place:place] = content[place : place + length]
            case "put in":
                content[place:place] = draw(st.sampled_from(ODD) | st.binary(max_size=8))
            case "end":
                del content[place:]
    return bytes(content)
