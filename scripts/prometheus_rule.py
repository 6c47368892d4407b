"""The rules of `deploy/prometheus` as the Prometheus operator takes them.

python scripts/prometheus_rule.py [FILE]
"""

import argparse
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
RULES = [ROOT / "deploy" / "prometheus" / f"{name}.yml" for name in ("recording", "alerts")]
TARGET = ROOT / "deploy" / "k8s" / "components" / "prometheus-operator" / "rules.yaml"
HEAD = "# Made of deploy/prometheus/*.yml by scripts/prometheus_rule.py: change those, and run it again.\n"


def resource() -> dict[str, Any]:
    """A PrometheusRule with the groups of both files."""
    read = YAML(typ="safe")
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "ecg", "labels": {"release": "kube-prometheus-stack"}},
        "spec": {"groups": [group for path in RULES for group in read.load(path)["groups"]]},
    }


def write(target: Path) -> None:
    """Write it, one line for each expression."""
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    with target.open("w") as file:
        file.write(HEAD)
        yaml.dump(resource(), file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", type=Path, default=TARGET)
    write(parser.parse_args().target)
