"""The program, as its user starts it, with one crash laid out: `drill_child.py POINT VISIT ARGUMENTS...`."""

import sys

from kugetsu import failpoints


def main() -> None:
    point, visit = sys.argv[1:3]
    if point:
        failpoints.arm(point, visit=int(visit))
    from kugetsu.cli.main import main as program

    sys.argv[1:] = sys.argv[3:]
    sys.argv[0] = "kugetsu"
    program()


if __name__ == "__main__":
    main()
