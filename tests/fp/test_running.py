"""What a label depends on, and what it does not: how a code converges and runs may change at any time."""

import pytest

from dpgen2_hpc import kinds
from dpgen2_hpc.fp import running

INCAR = "ENCUT = 400\nEDIFF = 1E-6 ! tight\nISMEAR=0; SIGMA = 0.1\nKSPACING = 0.2\n"
PW = "&control\n pseudo_dir='x'\n/\n&system\n ecutwfc = 40\n/\n&electrons\n conv_thr = 1d-8, mixing_beta = 0.7\n/\n"
CP2K = """&GLOBAL
  PRINT_LEVEL MEDIUM
&END GLOBAL
&FORCE_EVAL
  &DFT
    BASIS_SET_FILE_NAME BASIS
    &SCF
      EPS_SCF 1e-7
      MAX_SCF 50
      &OT
        PRECONDITIONER FULL_ALL
      &END OT
      &OUTER_SCF
        MAX_SCF 5
        EPS_SCF 1e-7
      &END OUTER_SCF
    &END SCF
  &END DFT
&END FORCE_EVAL
"""
FUNCTIONAL = "&XC\n&XC_FUNCTIONAL PBE\n&END\n&END\n"
BASES = f"&FORCE_EVAL\n&DFT\nBASIS_SET_FILE_NAME one\nBASIS_SET_FILE_NAME two\n&QS\n&END\n{FUNCTIONAL}&END\n&END\n"
MESH = "K_POINTS automatic\n1 1 1 0 0 0\n"
ABACUS = "INPUT_PARAMETERS\necutwfc 100\nscf_thr 1e-7\nmixing_beta 0.4 # slow\n"


def vasp(text):
    return running.vasp({"incar": text, "kspacing": None})


def pw(text, **more):
    return running.pwscf({"template": text, **more})


def cp2k(text):
    return running.cp2k({"inp_file": text, "sections": {}, "files": []})


def abacus(text):
    return running.abacus({"input_file": text})


def gaussian(keywords, **more):
    return running.gaussian({"keywords": keywords, **more})


def ase(**kwargs):
    return running.ase({"calculator": "tblite.ase.TBLite", "kwargs": kwargs})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (vasp(INCAR), vasp(INCAR + "NELM = 200\nALGO = All\nAMIX = 0.1\nNCORE = 4\nKPAR=2\nLWAVE = .FALSE.\n")),
        (vasp(INCAR + "ALGO = Normal\n"), vasp(INCAR + "ALGO = A ! all bands\nIALGO=58\nISTART = 0\nLMAXMIX = 4\n")),
        (vasp(INCAR), vasp(INCAR.replace(" ! tight", "") + "\n\n# a comment\nICHARG = 1\n")),
        (vasp(INCAR), vasp(INCAR + "NSW = 50\nIBRION = 2\nEDIFFG = -0.01\nPOTIM = 0.5\n")),
        (vasp(INCAR), vasp("SIGMA = 0.1\nkspacing = 0.2\nEDIFF = 1E-6\nENCUT  =  400\nISMEAR = 0")),
        (pw(PW), pw(PW.replace("mixing_beta = 0.7", "electron_maxstep = 300\n mixing_mode='local-TF'"))),
        (pw(PW), pw(PW.replace("pseudo_dir='x'", "pseudo_dir='x', disk_io='none', max_seconds=3600"))),
        (pw(PW), pw(PW.replace("pseudo_dir='x'", "pseudo_dir='y', tstress=.true., calculation='scf'"))),
        (
            pw(PW),
            pw(PW + "&ions\nion_dynamics='bfgs'\n/\nATOMIC_POSITIONS bohr\nAl 0 0 0\nCELL_PARAMETERS bohr\n9 0 0\n"),
        ),
        (pw(None, electrons={"conv_thr": 1e-8}), pw(None, electrons={"conv_thr": 1e-8, "electron_maxstep": 300})),
        (cp2k(CP2K), cp2k(CP2K.replace("MAX_SCF 50", "MAX_SCF 300").replace("MAX_SCF 5\n", "MAX_SCF 20\n"))),
        (cp2k(CP2K), cp2k(CP2K.replace("FULL_ALL", "FULL_KINETIC").replace("MEDIUM", "HIGH"))),
        (cp2k(CP2K), cp2k(CP2K.replace("  &DFT", "  &SUBSYS\n&CELL\nABC 3 4 5\n&END\n@INCLUDE atoms\n&END\n  &DFT"))),
        (cp2k(CP2K), cp2k("&MOTION\n&CONSTRAINT\n&END\n&END\n" + CP2K)),
        (
            abacus(ABACUS),
            abacus(ABACUS.replace("0.4 # slow", "0.1") + "scf_nmax 500\nks_solver dav\nout_chg 1\nkpar 2\n"),
        ),
        (gaussian("force b3lyp/6-31g scf=(xqc,maxcycle=200)", nproc=4), gaussian("Force B3LYP/6-31G", nproc=16)),
        (gaussian("force b3lyp scf=tight"), gaussian("force b3lyp scf=tight")),
        (gaussian("force b3lyp scf=tight"), gaussian("#p b3lyp Force scf = ( xqc, Tight , maxcyc=99 )")),
        (gaussian("force b3lyp scf=(conver=8)"), gaussian("force b3lyp scf(yqc,conver=8)")),
        (pw(PW + MESH), pw(PW + MESH.replace("\n1", "\n# a mesh\n1 "))),
        (pw("&system\necutwfc=40\n/\n"), pw("&system\necutwfc=40\n/\n&electrons\nmixing_beta=0.3\n/\n")),
        (pw(None, electrons=None), pw(None, electrons={"mixing_beta": 0.3})),
        (
            cp2k(BASES),
            cp2k("&GLOBAL\nPRINT_LEVEL HIGH\n&END\n" + BASES.replace("&XC\n", "&SCF\nMAX_SCF 99\n&END\n&XC\n")),
        ),
        (cp2k(BASES), cp2k(BASES.replace(FUNCTIONAL, "").replace("&DFT", "&DFT\n" + FUNCTIONAL))),
        (abacus(ABACUS), abacus(ABACUS + "pseudo_dir ./here\ncal_stress 1\n")),
        (ase(method="GFN2-xTB", max_iterations=250), ase(method="GFN2-xTB", max_iterations=500)),
    ],
)
def test_how_a_code_converges_and_runs_is_not_physics(before, after):
    assert before == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (vasp(INCAR), vasp(INCAR.replace("400", "500"))),
        (vasp(INCAR), vasp(INCAR.replace("1E-6", "1E-4"))),
        (vasp(INCAR), vasp(INCAR + "ICHARG = 11\n")),
        (vasp(INCAR), vasp(INCAR + "LREAL = Auto\n")),
        *((vasp(INCAR), vasp(f"{INCAR}ALGO = {word}\n")) for word in ("None", "Exact", "Eigenval", "GW0", "CHI", "No")),
        (vasp(INCAR + "ALGO = All\n"), vasp(INCAR + "ALGO = Subrot\n")),
        (vasp(INCAR), vasp(INCAR + "IALGO = 2\n")),
        (vasp(INCAR), vasp(INCAR + "ISTART = 2\n")),
        (pw(PW), pw(PW.replace("mixing_beta = 0.7", "adaptive_thr = .true., conv_thr_multi = 0.5"))),
        (cp2k(CP2K), cp2k(CP2K.replace("PRINT_LEVEL MEDIUM", "EXTENDED_FFT_LENGTHS T"))),
        (abacus(ABACUS), abacus(ABACUS + "pw_diag_thr 1e-1\n")),
        (pw(PW), pw(PW.replace("1d-8", "1d-4"))),
        (pw(PW), pw(PW.replace("ecutwfc = 40", "ecutwfc = 60"))),
        (pw(PW), pw(PW + "K_POINTS automatic\n2 2 2 0 0 0\n")),
        (cp2k(CP2K), cp2k(CP2K.replace("EPS_SCF 1e-7", "EPS_SCF 1e-4"))),
        (cp2k(CP2K), cp2k(CP2K.replace("FILE_NAME BASIS", "FILE_NAME basis"))),
        (cp2k(CP2K), cp2k(CP2K.replace("  &DFT", "  &SUBSYS\n&CELL\nPERIODIC XY\n&END\n&END\n  &DFT"))),
        (abacus(ABACUS), abacus(ABACUS.replace("1e-7", "1e-4"))),
        (gaussian("force b3lyp scf=tight"), gaussian("force b3lyp")),
        (gaussian("force b3lyp"), gaussian("force pbe1pbe")),
        (gaussian("force b3lyp scf=(conver=8,xqc)"), gaussian("force b3lyp scf=(conver=6,xqc)")),
        (gaussian(["hf", "force b3lyp"]), gaussian(["force b3lyp", "hf"])),
        (pw(PW + MESH), pw(PW + MESH.replace("1 1 1", "1 1 2"))),
        (cp2k(BASES), cp2k(BASES.replace("NAME one", "NAME 2").replace("NAME two", "NAME one").replace("2", "two"))),
        (cp2k(BASES), cp2k(BASES.replace("&XC\n", "&SCF\n&OUTER_SCF\nMAX_SCF 9\n&END\n&END\n&XC\n"))),
        (
            cp2k(CP2K.replace("&OT", "&DIAGONALIZATION").replace("END OT", "END")),
            cp2k(CP2K.replace("&OT", "&DIAGONALIZATION\nALGORITHM FILTER_MATRIX").replace("END OT", "END")),
        ),
        *((abacus(ABACUS), abacus(f"{ABACUS}ks_solver {word}\n")) for word in ("pexsi", "something")),
        (ase(method="GFN2-xTB"), ase(method="GFN1-xTB")),
    ],
)
def test_what_a_label_is_stays_physics(before, after):
    assert before != after


CYCLES = {"vasp", "qe", "cp2k", "fpop_cp2k", "abacus", "fpop_abacus", "gaussian", "ase"}


@pytest.mark.parametrize("kind", kinds.OWN["fp"])
def test_every_code_with_a_self_consistent_cycle_says_what_its_labels_depend_on(kind):
    assert ("physics" in vars(kinds.load("fp", kind))) == (kind in CYCLES)
