"""Give an mmcv without compiled operators those of mmhadaptive, or take them away again."""

import argparse

from .stand_in import compiled_module, install, mmcv_folder, remove


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mmhadaptive.mmcv_ops", description=__doc__)
    parser.add_argument(
        "action",
        choices=["install", "remove"],
        help="write the file mmcv/_ext.py where mmcv is installed, or delete it",
    )
    action = parser.parse_args().action
    try:
        folder = mmcv_folder()
        path = {"install": install, "remove": remove}[action](folder)
    except (FileNotFoundError, FileExistsError, PermissionError) as error:
        parser.error(str(error))
    if path is not None:
        print(f"{'wrote' if action == 'install' else 'deleted'} {path}")
    elif action == "install":
        print(f"mmcv has its compiled operators, {compiled_module(folder)}: nothing to do")
    else:
        print(f"there is no stand-in in {folder}: nothing to do")


if __name__ == "__main__":
    main()
