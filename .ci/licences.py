"""Every dependency has a licence that suits ours. Reads `cargo metadata`; run at the top of the repository."""

import json
import re
import subprocess
import sys

# Permissive, or weak copyleft by file (MPL) for crates that are used as they are.
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "NCSA", "Unicode-3.0", "Unlicense", "Zlib",
}
# Crates that name a file instead: what it says, read by hand.
BY_FILE = {"cfg_block": "Apache-2.0"}


def is_allowed(expression):
    """An SPDX expression: one of each group joined by AND; `/` is an old form of OR."""
    expression = re.sub(r"\s*/\s*", " OR ", expression)
    groups = re.split(r"\s+AND\s+", expression)
    return all(any(name.strip("() ") in ALLOWED for name in re.split(r"\s+OR\s+", group)) for group in groups)


command = ["cargo", "metadata", "--format-version", "1", "--locked"]
packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
bad = []
for package in packages:
    licence = package["license"] or BY_FILE.get(package["name"])
    if not licence or not is_allowed(licence):
        bad.append(f"{package['name']} {package['version']}: {licence or 'no licence'}")
if bad:
    sys.exit("licences that do not suit ours: " + "; ".join(bad))
print(f"{len(packages)} packages, each with a licence that suits ours")
