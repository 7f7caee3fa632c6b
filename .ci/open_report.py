"""Opens a report in headless Chromium, from the disk: its search finds, its viewer draws, nothing is asked of a network, and a
prompt stays text. Arguments: the report's folder, and where screenshots go, if they are wanted."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

folder = Path(sys.argv[1]).resolve()
shots = Path(sys.argv[2]).resolve() if sys.argv[2:] else None
if not shutil.which("chromium"):
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def chromium(page, *arguments):
    """What Chromium prints, and the addresses that it asked for."""
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "net.json"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu-sandbox", "--use-angle=swiftshader",
                   "--enable-unsafe-swiftshader", "--disable-background-networking", "--disable-component-update",
                   "--no-first-run", "--virtual-time-budget=8000", "--window-size=1200,900",
                   f"--user-data-dir={home}/profile", f"--log-net-log={log}", *arguments, f"file://{page}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        events = json.loads(log.read_text())["events"] if log.exists() else []
        # The browser's own requests have no initiator.
        asked = (event["params"] for event in events if event.get("params", {}).get("initiator", "not an origin") != "not an origin")
        urls = {params["url"] for params in asked if "url" in params}
        return done.stdout, {url for url in urls if url.startswith(("http:", "https:", "ws:", "wss:"))}


with tempfile.NamedTemporaryFile("w", suffix=".html") as control:
    control.write("<img src='http://127.0.0.1:9/asked'>")
    control.flush()
    _, seen = chromium(control.name, "--dump-dom")
assert seen == {"http://127.0.0.1:9/asked"}, f"a page that asks for something was not noticed: {seen}"
index, runs = folder / "index.html", json.loads((folder / "runs.json").read_text())
everything, asked = chromium(index, "--dump-dom")
assert everything.count("<li>") == len(runs), everything[:2000]
assert "<title>dreamfuse runs</title>" in everything, "a prompt changed the page"
assert f"{len(runs)} of {len(runs)} runs" in everything
found, more = chromium(f"{index}#teapot", "--dump-dom")
teapots = sum("teapot" in run["prompt"] for run in runs)
assert found.count("<li>") == teapots > 0, f"the search found {found.count('<li>')} of {teapots}"
asked |= more
for run in (run for run in runs if run["state"] == "done"):
    page, more = chromium(folder / f"{run['key']}.html", "--dump-dom")
    asked |= more
    assert f'data-triangles="{run["triangles"]}"' in page, f"the viewer drew nothing of {run['prompt']!r}"
    assert ">Drag to turn" in page, "the viewer says that the mesh cannot be shown"
    if run["index"] >= 3:
        break
assert not asked, f"requests leave the page: {sorted(asked)[:5]}"
if shots:
    chromium(index, f"--screenshot={shots}/report.png")
    first = next(run for run in runs if run["state"] == "done")
    chromium(folder / f"{first['key']}.html", f"--screenshot={shots}/report-run.png")
print(f"Chromium: {len(runs)} runs, the search finds, the viewer draws, no request leaves the pages")
