"""Read OUTCARs of about 343 KB, each of 100 atoms, beside dpdata; the numbers must be the same. Bar: 25."""

import warnings

from common import cpu, folder, number, say


def main() -> None:
    n = number(1000)
    import dpdata
    import numpy as np
    import test_vasp_labels as vasp
    from labelers import made, prepared, rattled

    from dpgen2_hpc.fp.outcar import read_outcar

    warnings.simplefilter("ignore")
    corners = [[(i + a) / 5, (j + b) / 5, c] for i in range(5) for j in range(5)
               for a, b, c in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))]  # fmt: skip
    frame = rattled(("Al",) * 50 + ("Cu",) * 50, np.diag([20.0, 20.0, 4.0]), corners, width=0.001)
    with folder() as place:
        labeler = made("vasp", vasp.settings(place, kspacing=0.165), place)
        task = prepared(labeler, frame, place / "step" / "task")
        vasp.ran(task)
        text = (task / "OUTCAR").read_bytes()
        paths = [place / f"OUTCAR.{k}" for k in range(n)]
        for path in paths:
            path.write_bytes(text)
        mine, theirs = [], []
        ours = cpu(lambda: mine.extend(read_outcar(path) for path in paths), mine.clear)
        peer = cpu(
            lambda: theirs.extend(dpdata.LabeledSystem(str(path), fmt="vasp/outcar").data for path in paths),
            theirs.clear,
        )
    same = all(one.energy == other["energies"][0] for one, other in zip(mine, theirs, strict=True))
    turn = np.linalg.solve(mine[0].frame.cell, theirs[0]["cells"][0])
    same = same and np.allclose(mine[0].forces @ turn, theirs[0]["forces"][0], atol=1e-9)
    same = same and np.allclose(turn.T @ mine[0].virial @ turn, theirs[0]["virials"][0], atol=1e-6)
    say(
        "outcar",
        n=n,
        bytes_each=len(text),
        ours_cpu_s=ours,
        dpdata_cpu_s=peer,
        ratio=peer / ours,
        bar=25,
        same=bool(same),
    )


if __name__ == "__main__":
    main()
