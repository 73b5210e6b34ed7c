"""The audit of the environment: its list of parts and the licences."""

import json
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.errors import ColorizerError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script(import_script) -> ModuleType:
    return import_script("audit")


def test_the_sbom_is_valid_and_names_what_setup_cfg_names(script, tmp_path):
    # The tool validates against the schema before it writes.
    sbom = script.write_sbom(tmp_path / "sbom.json")
    assert sbom == json.loads((tmp_path / "sbom.json").read_text())
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    direct = [
        Requirement(line.partition("#")[0])
        for line in config["options"]["install_requires"].splitlines()
        if line and not line.startswith("#")
    ]
    listed = {canonicalize_name(one["name"]): one["version"] for one in sbom["components"]}
    missing = [one.name for one in direct if canonicalize_name(one.name) not in listed]
    assert direct and missing == []
    for one in direct:
        assert one.specifier.contains(listed[canonicalize_name(one.name)]), one
    assert list(tmp_path.iterdir()) == [tmp_path / "sbom.json"]
    assert [*script._licence_faults(sbom)] == []


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("License :: OSI Approved :: Apache Software License", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND LGPL-2.1", False),
        ("", False),
        ("some licence of our own", False),
    ],
)
def test_licences_are_held_against_the_list(script, licence, allowed):
    assert script.is_allowed(licence) is allowed


def test_what_is_needed_is_found_through_extras(script):
    assert {"numpy", "pillow", "tensorflow", "h5py"} <= script.needed("photo-colorizer")
    assert "apache-beam" not in script.needed("photo-colorizer")
    assert "apache-beam" in script.needed("photo-colorizer", ("batch",))
    with pytest.raises(ColorizerError, match="no-such-package: is needed and not installed"):
        script.needed("no-such-package")


def test_a_tool_that_fails_is_told(script):
    with pytest.raises(ColorizerError, match="cyclonedx_py failed"):
        script._tool("cyclonedx_py", "no-such-command")
