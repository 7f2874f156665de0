"""The picture of the demo's report in the README: the top of report.html as a PNG.

    python tools/results/demo_picture.py lastword-demo/report.html    # writes docs/assets/demo-report.png

Needs Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "assets" / "demo-report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT, SCALE = 1000, 1060, 1.4


def take_picture(report: Path, picture: Path, *, dark: bool = False) -> None:
    """Screenshot of the top of a page, in the light or the dark colour scheme."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"no browser found: install one of {', '.join(BROWSERS)}")
    picture.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "blink-settings": f"preferredColorScheme={0 if dark else 1}",
        "window-size": f"{WIDTH},{HEIGHT}",
        "force-device-scale-factor": SCALE,
        "screenshot": picture.resolve(),
    }
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += [f"--{name}={value}" for name, value in options.items()]
    subprocess.run([browser, *flags, report.resolve().as_uri()], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--output", type=Path, default=PICTURE)
    parser.add_argument("--dark", action="store_true", help="use the dark colour scheme")
    args = parser.parse_args()
    take_picture(args.report, args.output, dark=args.dark)


if __name__ == "__main__":
    main()
