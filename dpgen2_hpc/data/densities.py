"""How much room atoms take in the usual solid or liquid of their element; of gases, in the boiling liquid."""

from collections.abc import Mapping, Sequence

from dpgen2_hpc.data.masses import MASSES

GRAM_PER_CM3 = 1.66053907
"""1 u/Å³ in g/cm³."""

_TEXT = """
    H 0.071  He 0.125  Li 0.534  Be 1.85  B 2.34  C 2.26  N 0.807  O 1.14  F 1.51  Ne 1.21  Na 0.968
    Mg 1.74  Al 2.70  Si 2.33  P 1.82  S 2.07  Cl 1.56  Ar 1.40  K 0.862  Ca 1.55  Sc 2.99  Ti 4.51
    V 6.11  Cr 7.19  Mn 7.47  Fe 7.87  Co 8.90  Ni 8.91  Cu 8.96  Zn 7.14  Ga 5.91  Ge 5.32  As 5.73
    Se 4.81  Br 3.12  Kr 2.42  Rb 1.53  Sr 2.64  Y 4.47  Zr 6.51  Nb 8.57  Mo 10.2  Tc 11.5  Ru 12.4
    Rh 12.4  Pd 12.0  Ag 10.5  Cd 8.65  In 7.31  Sn 7.29  Sb 6.69  Te 6.24  I 4.93  Xe 2.95  Cs 1.93
    Ba 3.62  La 6.15  Ce 6.69  Pr 6.64  Nd 7.01  Pm 7.26  Sm 7.52  Eu 5.24  Gd 7.90  Tb 8.23  Dy 8.54
    Ho 8.79  Er 9.07  Tm 9.32  Yb 6.90  Lu 9.84  Hf 13.3  Ta 16.7  W 19.3  Re 21.0  Os 22.6  Ir 22.6
    Pt 21.5  Au 19.3  Hg 13.5  Tl 11.8  Pb 11.3  Bi 9.78  Po 9.20  Ac 10.1  Th 11.7  Pa 15.4  U 19.0
    Np 20.4  Pu 19.8
"""

DENSITIES: Mapping[str, float] = dict(zip(_TEXT.split()[::2], map(float, _TEXT.split()[1::2]), strict=True))
"""g/cm³ near room temperature, after the CRC Handbook of Chemistry and Physics, to three digits."""


def usual_volume(symbols: Sequence[str]) -> float | None:
    """Return the volume (Å³) of these atoms, each as in its element; ``None`` if one is of no element listed here."""
    if not all(symbol in DENSITIES for symbol in symbols):
        return None
    return sum(GRAM_PER_CM3 * MASSES[symbol] / DENSITIES[symbol] for symbol in symbols)
